"""Opens a link in this machine's browser without showing it to others: a command line can be read by every user.

The browser is given a file that only its owner may read, and that leads on to the link.
"""

import atexit
import html
import tempfile
import threading
import webbrowser
from pathlib import Path

SECONDS = 60.0  # within which a browser has read the file
PAGE = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}"><title>emu</title>\n'


def open_in_browser(link: str, beside: Path) -> None:
    """The file lies in `beside`, where a browser in a sandbox may read too; it goes after a minute, or with us."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=beside, prefix=".open-", suffix=".html", delete=False) as page:
            page.write(PAGE.format(html.escape(link)))
    except OSError:  # a folder that one may only read: the link that is printed has to do
        return
    written = Path(page.name)
    atexit.register(written.unlink, missing_ok=True)
    gone = threading.Timer(SECONDS, written.unlink, kwargs={"missing_ok": True})
    gone.daemon = True
    gone.start()
    webbrowser.open(written.resolve().as_uri())
