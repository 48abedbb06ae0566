"""The training's own pages: `live.html` while it runs, `test.html` when it is done."""
