"""Every sort of output a cell can have, as cells that make it."""

from __future__ import annotations

D = "from IPython.display import display, clear_output, HTML\nimport sys\n"
U = "from IPython.display import update_display\n"
W = D + "import ipywidgets as w\n"
A = "import asyncio\n"
LOOP = D + A + "async def later():\n    await asyncio.sleep(0.3)\n    "

# Name of the sort: its cells, one after the other.
SORTS: dict[str, tuple[str, ...]] = {
    # streams
    "print": ("print('one'); print('two')",),
    "print, no newline": ("print('a', end='')",),
    "no newline, then more": ("print('a', end='', flush=True); print('b')",),
    "nothing": ("x = 1",),
    "empty line": ("print()",),
    "standard error": ("import sys; print('e', file=sys.stderr)",),
    "both in turn": (
        D + "for n in range(3):\n    print('o', n, flush=True)\n"
        "    print('e', n, file=sys.stderr, flush=True)",
    ),
    "flushed piece by piece": (
        "for n in range(9):\n    print(n, end=',', flush=True)",
    ),
    "carriage returns": (
        "for n in range(3):\n    print(f'\\r{n}', end='', flush=True)",
    ),
    "not ASCII": ("print('ä→✓ 🎉', '\\u202e', '\\u0301')",),
    "colours and controls": ("print('\\x1b[31mred\\x1b[0m', '\\x00\\x07\\x0c\\v')",),
    "all line ends": ("import sys; sys.stdout.write('a\\r\\nb\\u2028c\\x85d\\n');",),
    "900 lines": ("for n in range(900):\n    print('line', n)",),
    "logging": (
        (
            "import logging\nlogging.basicConfig(force=True, format='%(message)s')\n"
            "logging.warning('careful')"
        ),
    ),
    # clears
    "clear": (D + "print('a'); clear_output(); print('b')",),
    "clear, then nothing": (D + "print('a'); clear_output()",),
    "clear later": (D + "print('a'); clear_output(wait=True); print('b')",),
    "clear later, then nothing": (D + "print('a'); clear_output(wait=True)",),
    "clear later, then a display": (
        D
        + "print('a'); clear_output(wait=True); display(HTML('<b>c</b>')); print('d')",
    ),
    "clear later, then a result": (D + "print('a'); clear_output(wait=True)\n42",),
    "clear later, then an error": (D + "print('a'); clear_output(wait=True)\n1 / 0",),
    "clear again and again": (
        D + "for n in range(5):\n    clear_output(wait=True); print('at', n)",
    ),
    "clear after a clear that waits": (
        D + "print(1); clear_output(wait=True); clear_output(); print(2)",
    ),
    # displays and results
    "display": (D + "display('text', 5, None)",),
    "between streams": (D + "print('a'); display(HTML('<i>b</i>')); print('c')",),
    "raw, several types, metadata": (
        D + "display({'text/plain': 'p', 'text/html': '<p>', 'application/json': [1]},"
        " raw=True, metadata={'text/html': {'isolated': True}})",
    ),
    "rich classes": (
        (
            "from IPython.display import *\n"
            "display(Markdown('# t'), Latex('$x$'), SVG(data='<svg/>'), JSON({'a': 1}),"
            " Javascript('1'), Code('x = 1'), Math('x'), GeoJSON({'type': 'Point'}))"
        ),
    ),
    "picture": (
        (
            "from IPython.display import Image\nimport base64\nImage(base64.b64decode("
            "'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZF"
            "QAAAAABJRU5ErkJggg=='), width=3)"
        ),
    ),
    "plot": (
        (
            "import matplotlib.pyplot as plt\n_, axes = plt.subplots(figsize=(1, 1))\n"
            "print('before'); axes.plot([1, 2]); plt.show(); print('after')"
        ),
    ),
    "table": ("import pandas\npandas.DataFrame({'a': [1, 2]})",),
    "result": ("41 + 1",),
    "result hidden": ("41 + 1;",),
    "result of a class": (
        (
            "class R:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n"
            "        return {'text/plain': 'r', 'text/x-own': 'o'}, {'k': 1}\nR()"
        ),
    ),
    "result whose repr fails": (
        "class Bad:\n    def __repr__(self):\n        raise ValueError('no')\nBad()",
    ),
    "captured": ("%%capture\nprint('not seen')",),
    "captured and shown": ("%%capture got\nprint('seen')\n42", "got.show()"),
    "time, asked": ("print?",),
    "input": ("input('name? ')",),
    # display ids
    "update": (D + "h = display('old', display_id='u1')\nprint('x')\nh.update('new')",),
    "update from another cell": (
        D + "h = display(HTML('old'), display_id=True)",
        "print('y'); h.update(HTML('new'))",
    ),
    "update of what is shown twice": (
        D + "h = display('old', display_id='u3')",
        "display('again', display_id='u3')",
        U + "update_display('new', display_id='u3')",
    ),
    "update of what was cleared": (
        D + "h = display('old', display_id='u4'); clear_output(); print()\nh.update(1)",
    ),
    "update of what nobody shows": (U + "update_display('n', display_id='u5')",),
    # errors
    "error": ("print('a')\n1 / 0",),
    "error of an error": (
        "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('k') from e",
    ),
    "no Python": ("def broken(:",),
    "group of errors": (
        "raise ExceptionGroup('several', [ValueError(1), KeyError(2)])",
    ),
    "error with many lines": ("raise RuntimeError('one\\ntwo\\n' + 'x' * 5000)",),
    "error shown, not raised": (
        (
            "try:\n    1 / 0\nexcept Exception:\n    get_ipython().showtraceback()\n"
            "print('on')"
        ),
    ),
    "interrupt": ("print('a'); raise KeyboardInterrupt",),
    # threads and child processes
    "threads": (
        (
            "import threading\nt = threading.Thread(target=print, args=('thread',))\n"
            "t.start(); t.join()"
        ),
    ),
    "child process": (
        "import subprocess; print(subprocess.check_output(['echo', 'c']))",
    ),
    "shell": ("!echo out; echo err >&2\nx = !echo kept\nprint(x)",),
    "bash": ("%%bash\necho one\necho two >&2",),
    "descriptor": (
        "import os, time\nos.write(1, b'straight\\n'); time.sleep(0.5); print('then')",
    ),
    "fork": (
        (
            "import os, warnings\nwarnings.simplefilter('ignore')\n"
            "if os.fork() == 0:\n    print('kid', flush=True); os._exit(0)\n"
            "os.wait(); import time; time.sleep(0.3)"
        ),
    ),
    "await": ("import asyncio\nawait asyncio.sleep(0.01); print('awaited')",),
    # widgets
    "widget": (W + "w.IntSlider(value=3, description='s')",),
    "widgets in a box": (W + "display(w.VBox([w.Label('l'), w.Button()]))",),
    "widget that moves": (
        W + "p = w.IntProgress(max=3); display(p)\nfor n in range(4):\n    p.value = n",
    ),
    "widget changed in another cell": (
        W + "h = w.HTML('old'); display(h)",
        "h.value='n'",
    ),
    "widget that is closed": (W + "c = w.Text('t'); display(c); c.close()",),
    "widget with bytes": (W + "w.Image(value=b'\\x89PNG', format='png')",),
    "Output": (
        W + "o = w.Output(); display(o)\nwith o:\n    print('in'); display('d')",
    ),
    "Output, then outside": (
        W + "o2 = w.Output()\nprint('a')\nwith o2:\n    print('in')\nprint('b')\no2",
    ),
    "Output from another cell": (
        W + "o3 = w.Output(); display(o3)",
        (
            "with o3:\n    print('x', end='', flush=True)\n    print('y', flush=True)\n"
            "    print('e', file=sys.stderr)\nprint('outside')"
        ),
    ),
    "Output cleared": (
        W + "o4 = w.Output(); display(o4)\nwith o4:\n    print('x'); clear_output()\n"
        "    print('y'); clear_output(wait=True); print('z')",
    ),
    "Output cleared by a later cell": (
        W + "o6 = w.Output(); display(o6)\nwith o6:\n    print('a')",
        "o6.clear_output()\nwith o6:\n    print('b')",
    ),
    "Output cleared by a later cell when the next comes": (
        W + "o7 = w.Output(); display(o7)\nwith o7:\n    print('a')",
        "o7.clear_output(wait=True)\nwith o7:\n    print('b')",
    ),
    "Output cleared by its own cell": (
        W + "o8 = w.Output(); display(o8)\nwith o8:\n    print('a')\n"
        "o8.clear_output()\nwith o8:\n    print('b')",
    ),
    "Output cleared by its own cell when the next comes": (
        W + "o9 = w.Output(); display(o9)\nwith o9:\n    print('a')\n"
        "o9.clear_output(wait=True)\nwith o9:\n    print('b')",
    ),
    "Output cleared again and again": (
        W + "o10 = w.Output(); display(o10)",
        (
            "for n in range(3):\n    o10.clear_output(wait=True)\n"
            "    with o10:\n        print(n); display(n)"
        ),
        "o10.clear_output()",
        "with o10:\n    print('last')",
    ),
    "Output cleared at the end": (
        W + "o11 = w.Output(); display(o11)\nwith o11:\n    print('a')",
        "o11.clear_output()",
    ),
    "Outputs one in the other": (
        W + "a, b = w.Output(), w.Output()\nwith a:\n    print('a')\n    with b:\n"
        "        print('b')\n    print('c')\ndisplay(a, b)",
    ),
    "Output with an error": (W + "o5 = w.Output()\nwith o5:\n    1 / 0\ndisplay(o5)",),
    "a button is pressed": (
        W + "k = w.Button(); k.on_click(lambda _: print('pressed')); k.click()",
    ),
    "interact": (W + "w.interact(lambda x: print('x is', x), x=(0, 4));",),
}

# What papermill loses: it drops what does not come from the cell that runs. The texts
# are what the first of the cells shows in the end.
LATE: dict[str, tuple[tuple[str, ...], str]] = {
    "a task prints while the next cell runs": (
        (
            LOOP + "print('late')\nprint('early'); task = asyncio.create_task(later())",
            A + "await task; print('next')",
        ),
        "early\nlate\n",
    ),
    "a task changes its display": (
        (
            LOOP + "h9.update({'text/plain': 'new'}, raw=True)\n"
            "h9 = display({'text/plain': 'old'}, raw=True, display_id=True)\n"
            "task = asyncio.create_task(later())",
            A + "await task; print('next')",
        ),
        "new",
    ),
}
