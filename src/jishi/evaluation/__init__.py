"""One file a way to judge a predictor."""
