"""How explanations are shown: pictures, coloured words, bars."""
