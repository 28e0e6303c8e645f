"""The web app: builds the site, serves it."""
