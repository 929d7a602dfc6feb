"""From error text to its cause: text → letters → hits of core lines → sightings → matches, best first."""
