"""auto_avsr: a lip reader of sentencepiece tokens (WER3), and the encoder of LipScore."""
