"""How much memory a unit may hold, how much it holds, and how running out of it is recognised."""
