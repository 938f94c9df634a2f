"""torch's own attention and encoder layers, which read weights directly and so bypass wrappers."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear, pad, scaled_dot_product_attention

from qlmbench.adapters.layer import PackedProjection

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
"""Names of the projections that are packed into one weight, in their order there."""

_FAST_PATH = "_fast_path_before_adapters"


class AdaptedMultiheadAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` that calls its projections instead of reading their weights.

    Same parameters, arguments and results. An instance is made by `adapt_attention`.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend; see `torch.nn.MultiheadAttention`.

        Raises
        ------
        ValueError
            For nested tensors, shapes that do not fit, and ``is_causal`` without a mask.
        """
        self._check(query, key, value, attn_mask, is_causal)
        batched = query.ndim == 3
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = (self._project(i, x) for i, x in enumerate((query, key, value)))
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(k), 1, -1).to(k)], 1)
            v = torch.cat([v, self.bias_v.expand(len(v), 1, -1).to(v)], 1)
        q, k, v = (self._heads(x) for x in (q, k, v))
        if self.add_zero_attn:
            k, v = (pad(x, (0, 0, 0, 1)) for x in (k, v))
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        mixed, weights = self._attend(q, k, v, mask, need_weights)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out[0], None if weights is None else weights[0]
        return (out if self.batch_first else out.transpose(0, 1)), weights

    def _project(self, number: int, x: Tensor) -> Tensor:
        """Apply the projection to q, k or v, and its adapters if it has any."""
        if self._qkv_same_embed_dim:
            weight = self.in_proj_weight.chunk(3)[number]
        else:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[number]
        bias = None if self.in_proj_bias is None else self.in_proj_bias.chunk(3)[number]
        output = linear(x, weight, bias)
        host = getattr(self, PROJECTIONS[number], None)
        return output if host is None else cast(Tensor, host(x, output))

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(
        self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """Add up both masks, in a shape that broadcasts against (batch, heads, queries, keys)."""
        merged = None
        if attn_mask is not None:
            merged = _additive(attn_mask, q.dtype)
            if merged.ndim == 3:
                merged = merged.reshape(len(q), self.num_heads, *merged.shape[1:])
        if padding is not None:
            missing = _additive(padding, q.dtype)[:, None, None, :]
            merged = missing if merged is None else merged + missing
        if merged is None:
            return None
        # Keys that bias_k and add_zero_attn append are never masked.
        return pad(merged, (0, k.shape[2] - merged.shape[-1]))

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        rate = self.dropout if self.training else 0.0
        if not need_weights:
            return scaled_dot_product_attention(q, k, v, mask, dropout_p=rate), None
        scores = (q / math.sqrt(self.head_dim)) @ k.mT
        weights = (scores if mask is None else scores + mask).softmax(-1)
        weights = dropout(weights, rate)
        return weights @ v, weights

    def _check(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> None:
        if query.is_nested or key.is_nested or value.is_nested:
            raise ValueError("an adapted attention takes no nested tensors; pad them")
        if not query.ndim == key.ndim == value.ndim or query.ndim not in (2, 3):
            shapes = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
            raise ValueError(f"query, key, value have shapes {shapes}; expected 2 or 3 dimensions")
        if is_causal and attn_mask is None:
            raise ValueError("is_causal is a hint about attn_mask, which is missing; give the mask")


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of booleans into 0 and minus infinity."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, -torch.inf)


def projection_widths(attention: nn.MultiheadAttention) -> dict[str, tuple[int, int]]:
    """Return the widths (in, out) of the packed projections by name."""
    widths = (attention.embed_dim, attention.kdim, attention.vdim)
    return {p: (n, attention.embed_dim) for p, n in zip(PROJECTIONS, widths, strict=True)}


def projection_weight(attention: nn.MultiheadAttention) -> Tensor:
    """Return a weight of the packed projections, for its type and place."""
    packed = attention._qkv_same_embed_dim
    return attention.in_proj_weight if packed else attention.q_proj_weight


def adapt_attention(attention: nn.MultiheadAttention) -> AdaptedMultiheadAttention:
    """Make an attention call its projections; it stays the same object with the same weights."""
    if type(attention) is nn.MultiheadAttention:
        attention.__class__ = AdaptedMultiheadAttention
    return cast(AdaptedMultiheadAttention, attention)


def release_attention(attention: AdaptedMultiheadAttention) -> None:
    """Undo `adapt_attention`."""
    for name in PROJECTIONS:
        if isinstance(getattr(attention, name, None), PackedProjection):
            delattr(attention, name)
    attention.__class__ = nn.MultiheadAttention  # type: ignore[assignment]


def block_fast_paths(model: nn.Module, adapted: set[nn.Module]) -> None:
    """Keep encoder layers with an adapter off torch's fused kernel, which reads bare weights.

    The kernel is chosen in evaluation, layer by layer; an encoder whose first layer may take it
    also turns padded input into nested tensors, which only the kernel understands.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    adapted : set of torch.nn.Module
        Modules that hold adapters.
    """
    for module in model.modules():
        switch = _switch(module)
        if switch and not hasattr(module, _FAST_PATH) and not adapted.isdisjoint(module.modules()):
            setattr(module, _FAST_PATH, getattr(module, switch))
            setattr(module, switch, False)


def restore_fast_paths(model: nn.Module) -> None:
    """Undo `block_fast_paths`."""
    for module in model.modules():
        switch = _switch(module)
        if switch and hasattr(module, _FAST_PATH):
            setattr(module, switch, getattr(module, _FAST_PATH))
            delattr(module, _FAST_PATH)


def _switch(module: nn.Module) -> str:
    """Name the attribute that torch's layer asks before it takes its fast path."""
    if isinstance(module, nn.TransformerEncoderLayer):
        return "activation_relu_or_gelu"
    return "use_nested_tensor" if isinstance(module, nn.TransformerEncoder) else ""
