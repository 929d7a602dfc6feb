"""Judgement: checks of layers, what they say together, and questions beside them."""
