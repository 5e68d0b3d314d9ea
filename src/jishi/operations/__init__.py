"""Operations: steps that clean a corpus, one a file."""
