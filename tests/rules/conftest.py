from hypothesis import settings

# A busy machine is slow, not wrong: no test asserts a time.
settings.register_profile("rules", deadline=None, print_blob=True)
settings.load_profile("rules")
