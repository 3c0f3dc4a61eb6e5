"""Text to a QR code that an HTML page draws as it is."""

import io

import segno


def svg(text: str) -> str:
    """Return a QR code of ``text`` as an ``<svg>`` element: error correction M, dark on white.

    The element holds nothing but paths, so it may be put into a page unescaped.
    """
    out = io.BytesIO()
    segno.make(text, error="m", micro=False, boost_error=False).save(
        out,
        kind="svg",
        scale=4,
        unit="px",
        light="#fff",
        xmldecl=False,
        svgclass=None,
        lineclass=None,
        nl=False,
    )
    return out.getvalue().decode()
