"""Orders: the rules of the market, and what they stop."""
