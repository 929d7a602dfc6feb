"""What an application needs of the image that it runs in: read from its files, never by running them."""
