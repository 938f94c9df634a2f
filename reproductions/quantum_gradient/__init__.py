"""Fine-tuning of DistilBERT in which a circuit rewrites the update of attention weights."""
