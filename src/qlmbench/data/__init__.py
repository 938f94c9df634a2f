"""Text, splits of it, encoders, and the features that encoders give: all checked and cached."""
