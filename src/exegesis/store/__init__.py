"""What a run leaves on disk: run folders that are whole or absent, and checkpoints a resumed run can trust."""

from exegesis.store.checkpoints import Checkpoint, Checkpoints, Fingerprint, StepKey, digest_arrays, digest_json
from exegesis.store.run_folder import RunDraft, RunFolder

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "Fingerprint",
    "RunDraft",
    "RunFolder",
    "StepKey",
    "digest_arrays",
    "digest_json",
]
