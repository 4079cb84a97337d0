"""Would the tests notice a mistake: small changes of a model against the tests of its project."""
