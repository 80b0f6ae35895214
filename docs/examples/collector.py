import gc


def settle_what_was_loaded() -> None:
    """Call this once everything is imported, before the first client comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
