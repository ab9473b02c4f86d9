"""Numbers as text for a reader, the same on the pages and in the terminal."""

import math


def format_rate(value: float | int) -> str:
    """Returns a value in [0, 1] with three decimals.

    >>> format_rate(0.91349)
    '0.913'
    """
    return f"{value:.3f}"


def format_percent(value: float | int) -> str:
    """Returns a share in percent with one decimal; a share below 0.1 % has two significant digits instead.

    >>> format_percent(0.05), format_percent(0.0004)
    ('5.0 %', '0.04 %')
    """
    return f"{100 * value:.2g} %" if 0 < value < 0.001 else f"{100 * value:.1f} %"


def format_p_value(value: float) -> str:
    """Returns a p-value with two significant digits; one below 0.0001 as such.

    >>> format_p_value(0.01234), format_p_value(3e-9), format_p_value(1.0)
    ('0.012', '<0.0001', '1.0')
    """
    if value < 1e-4:
        return "<0.0001"
    return f"{value:.1f}" if value > 0.95 else f"{value:.2g}"


def format_quantity(value: float | int) -> str:
    """Returns a number with four significant digits and a comma between thousands.

    Integers, and numbers from 1,000 on, show all digits before the point and none after it. Below 1e-4 and
    from 1e9 on, a power of ten is written.

    >>> format_quantity(0.00421377), format_quantity(18234.6), format_quantity(-3)
    ('0.004214', '18,235', '-3')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3e}"
    if abs(value) < 1e-4:
        return f"{value:.3e}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def format_duration(seconds: float | int) -> str:
    """Returns a duration in its two largest units; below a minute, in seconds with one decimal.

    >>> format_duration(7.26), format_duration(75), format_duration(7260)
    ('7.3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, remaining_seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {remaining_seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def format_size(num_bytes: float | int) -> str:
    """Returns a number of bytes in binary units.

    >>> format_size(1_288_490_189)
    '1.2 GiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.1f} GiB"
