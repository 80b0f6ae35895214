"""From decorated classes to a frozen table: read once, at registration."""
