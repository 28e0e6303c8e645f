"""What `panel serve app` runs before it serves: it puts the site's pages in their place."""

from app import serving

serving.install()
