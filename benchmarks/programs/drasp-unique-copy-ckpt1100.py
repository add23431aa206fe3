"""unique-copy-ckpt1100, decompiled from GPT2LMHeadModel (129,344 parameters).

Unique_copy. The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   99.9 % of 15,553 answers (99.9 %)
    test    99.9 % of 7,795 answers (99.9 %)
    long    99.9 % of 11,523 answers (99.9 %)
    longer  100 % of 7,625 answers (99.9 %)

Legible share: 0.3 %. Rounded, all of it is 33.6 % of the network's bits.
"""

import numpy as np

from exegesis.primitives import (
    activation,
    constant,
    embed,
    heads,
    largest,
    linear,
    load_tensors,
    mask,
    mix,
    norm,
    scores,
    softmax,
    write,
)

TENSORS = load_tensors(__file__)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(input_ids)) if position_ids is None else np.asarray(position_ids)
    # In the network: transformer.wte.
    embedded = embed(tokens, 4.94e-05 * TENSORS["embed.weight"])
    # In the network: transformer.wpe.
    embedded_2 = embed(positions, 6.73e-05 * TENSORS["pos_embed.weight"])
    # In the network: transformer.drop.
    stream = embedded + embedded_2
    # In the network: transformer.h.0.ln_1.
    normed = norm(
        stream,
        kind="layer",
        eps=1e-05,
        weight=TENSORS["L0.ln1.weight"],
        bias=TENSORS["L0.ln1.bias"],
    )
    # In the network: transpose_2.
    q = heads(normed, 6.86e-05 * TENSORS["L0.attn.q.weight"], TENSORS["L0.attn.q.bias"])
    # In the network: transpose.
    k = heads(normed, 9.02e-05 * TENSORS["L0.attn.k.weight"], TENSORS["L0.attn.k.bias"])
    masked = mask(scores(q, k, scale=0.125), causal=True, fill=-3.4028234663852886e+38)
    # In the network: transpose_1.
    v = heads(normed, 6.49e-05 * TENSORS["L0.attn.v.weight"], TENSORS["L0.attn.v.bias"])
    written = write(mix(softmax(masked), v), 3e-05 * TENSORS["L0.attn.out.weight"])
    offset = constant(tokens, TENSORS["L0.attn.bias.value"])
    # In the network: transformer.h.0.ln_2.
    stream_2 = embedded + embedded_2 + written + offset
    # In the network: transformer.h.0.ln_2.
    normed_2 = norm(
        stream_2,
        kind="layer",
        eps=1e-05,
        weight=TENSORS["L0.ln2.weight"],
        bias=TENSORS["L0.ln2.bias"],
    )
    # In the network: transformer.h.0.mlp.c_fc.
    hidden = linear(normed_2, 9.19e-05 * TENSORS["L0.mlp.in.weight"], TENSORS["L0.mlp.in.bias"])
    # In the network: transformer.h.0.mlp.act.
    active = activation(hidden, "gelu_tanh")
    # In the network: transformer.h.0.mlp.
    mlp = linear(active, 5.65e-05 * TENSORS["L0.mlp.out.weight"], TENSORS["L0.mlp.out.bias"])
    # In the network: transformer.h.0.
    stream_3 = embedded + embedded_2 + written + offset + mlp
    # In the network: transformer.h.1.ln_1.
    normed_3 = norm(
        stream_3,
        kind="layer",
        eps=1e-05,
        weight=TENSORS["L1.ln1.weight"],
        bias=TENSORS["L1.ln1.bias"],
    )
    # In the network: transpose_6.
    q_2 = heads(normed_3, 0.000168 * TENSORS["L1.attn.q.weight"], TENSORS["L1.attn.q.bias"])
    # In the network: transpose_4.
    k_2 = heads(normed_3, 0.000112 * TENSORS["L1.attn.k.weight"], TENSORS["L1.attn.k.bias"])
    masked_2 = mask(scores(q_2, k_2, scale=0.125), causal=True, fill=-3.4028234663852886e+38)
    # In the network: transpose_5.
    v_2 = heads(normed_3, 7.41e-05 * TENSORS["L1.attn.v.weight"], TENSORS["L1.attn.v.bias"])
    written_2 = write(mix(softmax(masked_2), v_2), 0.000151 * TENSORS["L1.attn.out.weight"])
    offset_2 = constant(tokens, TENSORS["L1.attn.bias.value"])
    # In the network: transformer.h.1.ln_2.
    stream_4 = embedded + embedded_2 + written + offset + mlp + written_2 + offset_2
    # In the network: transformer.h.1.ln_2.
    normed_4 = norm(
        stream_4,
        kind="layer",
        eps=1e-05,
        weight=TENSORS["L1.ln2.weight"],
        bias=TENSORS["L1.ln2.bias"],
    )
    # In the network: transformer.h.1.mlp.c_fc.
    hidden_2 = linear(normed_4, 0.000649 * TENSORS["L1.mlp.in.weight"], TENSORS["L1.mlp.in.bias"])
    # In the network: transformer.h.1.mlp.act.
    active_2 = activation(hidden_2, "gelu_tanh")
    # In the network: transformer.h.1.mlp.
    mlp_2 = linear(active_2, 0.000479 * TENSORS["L1.mlp.out.weight"], TENSORS["L1.mlp.out.bias"])
    # In the network: transformer.h.1.
    stream_5 = embedded + embedded_2 + written + offset + mlp + written_2 + offset_2 + mlp_2
    # In the network: transformer.ln_f.
    normed_5 = norm(
        stream_5,
        kind="layer",
        eps=1e-05,
        weight=TENSORS["ln_final.weight"],
        bias=TENSORS["ln_final.bias"],
    )
    return largest(linear(normed_5, 0.00011 * TENSORS["logits.weight"])).tolist()
