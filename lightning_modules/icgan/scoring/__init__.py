"""How well what was decoded fits what was seen."""
