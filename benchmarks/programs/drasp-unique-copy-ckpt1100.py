"""unique-copy-ckpt1100, decompiled from GPT2LMHeadModel (129,344 parameters).

Unique_copy. The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,553 answers (99.9 %)
    test    100 % of 7,795 answers (99.9 %)
    long    100 % of 11,523 answers (99.9 %)
    longer  100 % of 7,625 answers (99.9 %)

Legible share: 0.3 %.
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
    embedded = embed(tokens, TENSORS["embed.weight"])
    # In the network: transformer.wpe.
    embedded_2 = embed(positions, TENSORS["pos_embed.weight"])
    normed = norm(embedded + embedded_2, kind="layer", eps=1e-05)
    # In the network: transpose_2.
    q = heads(normed, TENSORS["L0.attn.q.weight+L0.ln1"], TENSORS["L0.attn.q.bias+L0.ln1"])
    # In the network: transpose.
    k = heads(normed, TENSORS["L0.attn.k.weight+L0.ln1"], TENSORS["L0.attn.k.bias+L0.ln1"])
    masked = mask(scores(q, k, scale=0.125), causal=True, fill=-3.4028234663852886e+38)
    # In the network: transpose_1.
    v = heads(normed, TENSORS["L0.attn.v.weight+L0.ln1"], TENSORS["L0.attn.v.bias+L0.ln1"])
    # L0H0 looks mostly (60 %) at everything so far. In the network: scaled_dot_product_attention.
    mixed = mix(softmax(masked), v)
    written = write(mixed, TENSORS["L0.attn.out.weight"])
    offset = constant(tokens, TENSORS["L0.attn.bias.value"])
    normed_2 = norm(embedded + embedded_2 + written + offset, kind="layer", eps=1e-05)
    # In the network: transformer.h.0.mlp.c_fc.
    hidden = linear(normed_2, TENSORS["L0.mlp.in.weight+L0.ln2"], TENSORS["L0.mlp.in.bias+L0.ln2"])
    # In the network: transformer.h.0.mlp.act.
    active = activation(hidden, "gelu_tanh")
    # In the network: transformer.h.0.mlp.
    mlp = linear(active, TENSORS["L0.mlp.out.weight"], TENSORS["L0.mlp.out.bias"])
    normed_3 = norm(embedded + embedded_2 + written + offset + mlp, kind="layer", eps=1e-05)
    # In the network: transpose_6.
    q_2 = heads(normed_3, TENSORS["L1.attn.q.weight+L1.ln1"], TENSORS["L1.attn.q.bias+L1.ln1"])
    # In the network: transpose_4.
    k_2 = heads(normed_3, TENSORS["L1.attn.k.weight+L1.ln1"], TENSORS["L1.attn.k.bias+L1.ln1"])
    masked_2 = mask(scores(q_2, k_2, scale=0.125), causal=True, fill=-3.4028234663852886e+38)
    # In the network: transpose_5.
    v_2 = heads(normed_3, TENSORS["L1.attn.v.weight+L1.ln1"], TENSORS["L1.attn.v.bias+L1.ln1"])
    # In the network: scaled_dot_product_attention_1.
    mixed_2 = mix(softmax(masked_2), v_2)
    written_2 = write(mixed_2, TENSORS["L1.attn.out.weight"])
    offset_2 = constant(tokens, TENSORS["L0.attn.bias+0"])
    normed_4 = norm(
        embedded + embedded_2 + written + mlp + written_2 + offset_2, kind="layer", eps=1e-05
    )
    # In the network: transformer.h.1.mlp.c_fc.
    hidden_2 = linear(
        normed_4, TENSORS["L1.mlp.in.weight+L1.ln2"], TENSORS["L1.mlp.in.bias+L1.ln2"]
    )
    # In the network: transformer.h.1.mlp.act.
    active_2 = activation(hidden_2, "gelu_tanh")
    # In the network: transformer.h.1.mlp.
    mlp_2 = linear(active_2, TENSORS["L1.mlp.out.weight"], TENSORS["L1.mlp.out.bias"])
    # In the network: transformer.h.1.
    stream = embedded + embedded_2 + written + mlp + written_2 + mlp_2 + offset_2
    normed_5 = norm(stream, kind="layer", eps=1e-05)
    return largest(
        linear(normed_5, TENSORS["logits.weight+ln_final"], TENSORS["logits.bias+ln_final"])
    ).tolist()
