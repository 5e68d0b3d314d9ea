"""Finding passages: by words, by vectors exactly or approximately, and by both; numpy alone but for what each file says."""
