"""Tables, one projector per entry kind, the sequencer: the only SQL."""
