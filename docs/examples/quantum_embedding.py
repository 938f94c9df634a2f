"""A quantum embedding and quantum attention in a torch model, and the table that remains."""

import torch
from torch import nn

from qlmbench.models.token_attention import QuantumAttention
from qlmbench.models.token_embedding import QuantumEmbedding

ids = torch.tensor([[3, 17, 5, 0], [8, 2, 0, 0]])
embedding = QuantumEmbedding(vocab_size=20, embedding_dim=8, n_layers=2, padding_idx=0)
attention = QuantumAttention(embed_dim=8, num_heads=1)

x = embedding(ids)
out, weights = attention(x, x, x, key_padding_mask=ids == 0)
out.square().sum().backward()

table = nn.Embedding.from_pretrained(embedding.table())  # the same without the circuit
torch.testing.assert_close(table(ids), x.detach())
print(tuple(out.shape), f"rank {torch.linalg.matrix_rank(embedding.table() - table(ids[:1, 3]))}")
