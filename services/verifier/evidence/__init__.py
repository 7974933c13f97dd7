"""What lets a verdict be reached again later: collected from outside, named for an answer, kept by the registry."""
