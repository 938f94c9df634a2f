"""Settings of the whole suite."""

from hypothesis import settings

# A busy machine is no failure: no test asserts a time.
settings.register_profile("qlmbench", deadline=None)
settings.load_profile("qlmbench")
