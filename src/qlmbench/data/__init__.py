"""Texts and images, splits of them, and the features that encoders give: checked and cached."""
