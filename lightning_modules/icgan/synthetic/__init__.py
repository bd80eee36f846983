"""SynthGOD: generated subjects who looked at rendered pictures, with everything about them known."""
