"""Images as data: scenes with exact captions, pictures of yours, and their features."""
