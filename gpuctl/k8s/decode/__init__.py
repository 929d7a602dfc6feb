"""From the API's objects to the few values that are kept."""
