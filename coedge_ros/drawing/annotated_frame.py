"""The frame, and beside or below it a panel with the answer and every worker.

Row bands are coloured by worker; what a detector found has a box. Text lies on the picture only as the bands' numbers
and at boxes, where there is room: the panel has it at any size of the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from coedge_ros.drawing import palette
from coedge_ros.drawing.boxes import draw_box
from coedge_ros.drawing.text import Rendering, TextLayer, font
from coedge_ros.drawing.views import AnswerView, WorkerView, format_joules, format_ms, format_percent

MARGIN = 14
CARD_HEIGHT, CARD_GAP = 62, 8
PANEL_WIDTH = 320  # beside the picture
CARD_MIN_WIDTH = 250  # below it
HEADER_BESIDE, HEADER_BELOW = 122, 78
MIN_PICTURE_HEIGHT, MIN_PICTURE_WIDTH = 360, 200
MIN_WIDE_PICTURE_WIDTH = 800
MAX_PICTURE_HEIGHT, MAX_PICTURE_WIDTH = 960, 1280
WIDE = 2.0  # from this width / height on the panel goes below the picture
STRIP_WIDTH = 6
TAG_WIDTH, TAG_HEIGHT = 24, 22


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things go, in pixels: (left, top, width, height)."""

    size: tuple[int, int]  # width, height of the whole
    picture: tuple[int, int, int, int]
    header: tuple[int, int, int, int]
    cards: tuple[tuple[int, int, int, int], ...]


def draw_annotated_frame(
    rgb: np.ndarray, workers: tuple[WorkerView, ...], answer: AnswerView, tint: float = 0.22
) -> Rendering:
    """Draw one answered frame.

    Parameters
    ----------
    rgb : np.ndarray
        (H, W, 3) uint8, RGB. Small frames are enlarged and very large ones reduced, so that texts keep their size.
    workers : tuple of WorkerView
        In the order of the panel; numbered from 1.
    answer : AnswerView
        What is said about the frame.
    tint : float
        Opacity of the bands' colours, [0, 1].
    """
    layout = _layout(rgb.shape[0], rgb.shape[1], len(workers))
    width, height = layout.size
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = palette.PANEL
    left, top, picture_width, picture_height = layout.picture
    picture = canvas[top : top + picture_height, left : left + picture_width]
    grows = picture_height > rgb.shape[0]
    picture[:] = cv2.resize(
        rgb, (picture_width, picture_height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    )
    bands = [_pixel_band(worker, picture_height) for worker in workers]
    for worker, (start, stop) in zip(workers, bands, strict=True):
        _tint(picture[start:stop], palette.worker_color(worker.color), tint)
    for start, _ in bands:
        if 0 < start < picture_height:
            _border(picture, start)

    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    texts = TextLayer(draw)
    for number, (worker, (start, stop)) in enumerate(zip(workers, bands, strict=True), start=1):
        if stop - start >= TAG_HEIGHT + 4 and picture_width >= 3 * TAG_WIDTH:
            color = palette.worker_color(worker.color)
            _tag(draw, texts, left + STRIP_WIDTH + 6, top + (start + stop - TAG_HEIGHT) // 2, number, color)
    for box in answer.boxes:
        draw_box(draw, texts, layout.picture, picture_width / rgb.shape[1], picture_height / rgb.shape[0], box)
    _header(texts, layout, answer)
    for number, (worker, card) in enumerate(zip(workers, layout.cards, strict=True), start=1):
        _card(draw, texts, card, number, worker)
    return Rendering(np.asarray(image), tuple(texts.boxes))


def _layout(height: int, width: int, workers: int) -> _Layout:
    if width / height >= WIDE:
        picture_width = min(max(width, MIN_WIDE_PICTURE_WIDTH), MAX_PICTURE_WIDTH)
        picture_height = max(1, round(picture_width * height / width))
        columns = max(1, min(workers, (picture_width - 2 * MARGIN + CARD_GAP) // (CARD_MIN_WIDTH + CARD_GAP)))
        card_width = (picture_width - 2 * MARGIN + CARD_GAP) // columns - CARD_GAP
        cards = tuple(
            (
                MARGIN + (index % columns) * (card_width + CARD_GAP),
                picture_height + HEADER_BELOW + (index // columns) * (CARD_HEIGHT + CARD_GAP),
                card_width,
                CARD_HEIGHT,
            )
            for index in range(workers)
        )
        rows = -(-workers // columns)
        bottom = picture_height + HEADER_BELOW + rows * (CARD_HEIGHT + CARD_GAP) - CARD_GAP + MARGIN
        header = (MARGIN, picture_height, picture_width - 2 * MARGIN, HEADER_BELOW)
        return _Layout((picture_width, bottom), (0, 0, picture_width, picture_height), header, cards)
    panel_height = HEADER_BESIDE + workers * (CARD_HEIGHT + CARD_GAP) - CARD_GAP + MARGIN
    scale = max(1.0, MIN_PICTURE_HEIGHT / height, panel_height / height)
    scale = min(scale, MAX_PICTURE_HEIGHT / height, MAX_PICTURE_WIDTH / width)
    picture_width, picture_height = max(1, round(width * scale)), max(1, round(height * scale))
    area_width, area_height = max(picture_width, MIN_PICTURE_WIDTH), max(picture_height, panel_height)
    picture = ((area_width - picture_width) // 2, (area_height - picture_height) // 2, picture_width, picture_height)
    left, inner = area_width + MARGIN, PANEL_WIDTH - 2 * MARGIN
    cards = tuple(
        (left, HEADER_BESIDE + index * (CARD_HEIGHT + CARD_GAP), inner, CARD_HEIGHT) for index in range(workers)
    )
    return _Layout((area_width + PANEL_WIDTH, area_height), picture, (left, 0, inner, HEADER_BESIDE), cards)


def _pixel_band(worker: WorkerView, height: int) -> tuple[int, int]:
    start, stop = (round(min(max(edge, 0.0), 1.0) * height) for edge in worker.band)
    return start, max(start, stop)


def _tint(rows: np.ndarray, color: palette.Color, strength: float) -> None:
    if rows.size:
        layer = np.empty_like(rows)
        layer[:] = color
        rows[:] = cv2.addWeighted(rows, 1.0 - strength, layer, strength, 0.0)
        rows[:, :STRIP_WIDTH] = color


def _border(picture: np.ndarray, row: int) -> None:
    # White between dark lines shows on every photo.
    picture[max(0, row - 2) : row + 2] = palette.INK
    picture[max(0, row - 1) : row + 1] = palette.TEXT


def _tag(draw, texts: TextLayer, x: int, y: int, number: int, color: palette.Color) -> None:
    draw.rounded_rectangle((x, y, x + TAG_WIDTH - 1, y + TAG_HEIGHT - 1), radius=5, fill=color)
    texts.put(
        x + TAG_WIDTH / 2, y + TAG_HEIGHT / 2, str(number), palette.text_color_on(color), 13, bold=True, anchor="mm"
    )


def _header(texts: TextLayer, layout: _Layout, answer: AnswerView) -> None:
    left, top, width, height = layout.header
    best = answer.classes or tuple((box.label, box.score) for box in answer.boxes)
    if best:
        label, probability = best[0]
        title, sure = label or "unnamed class", format_percent(probability)
    else:
        title, sure = "answered", ""
    others = " · ".join(f"{name} {format_percent(p)}" for name, p in best[1:3] if p >= 0.005)
    latency, color = _latency(answer)
    about = " · ".join(part for part in (answer.model, f"plan {answer.epoch}" if answer.epoch else "") if part)
    beside = height == HEADER_BESIDE
    room = width if beside else width * 0.62
    sure_width = font(19, True).getlength(sure)
    texts.put(left, top + 17, answer.frame, palette.MUTED, 12, max_width=room, keep_end=True)
    title_width = texts.put(left, top + 40, title, palette.TEXT, 19, bold=True, max_width=room - sure_width - 14)
    sure_left = left + (room - sure_width if beside else title_width + 14)
    texts.put(sure_left, top + 40, sure, palette.TEXT, 19, bold=True)
    texts.put(left, top + 62, others, palette.MUTED, 12, max_width=room)
    if beside:
        texts.put(left, top + 85, latency, color, 13, bold=True, max_width=room)
        texts.put(left, top + 105, about, palette.MUTED, 12, max_width=room)
    else:
        texts.put(left + width, top + 40, latency, color, 13, bold=True, anchor="rm", max_width=width - room - 20)
        texts.put(left + width, top + 62, about, palette.MUTED, 12, anchor="rm", max_width=width - room - 20)


def _latency(answer: AnswerView) -> tuple[str, palette.Color]:
    text = format_ms(answer.latency_ms)
    if answer.deadline_ms > 0:
        text += f" of {answer.deadline_ms:.0f} ms"
    if answer.fallback:
        return f"{text}, manager alone", palette.NOTICE
    if answer.attempts > 1:
        text += f", attempt {answer.attempts}"
    if answer.late:
        return f"{text}, late", palette.BAD
    return text, palette.GOOD if answer.deadline_ms > 0 else palette.TEXT


def _card(draw, texts: TextLayer, place: tuple[int, int, int, int], number: int, worker: WorkerView) -> None:
    left, top, width, height = place
    background = palette.CARD
    color = palette.worker_color(worker.color)
    if worker.silent:
        color = palette.faded(color, background, 0.35)
    draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), radius=7, fill=background)
    draw.rounded_rectangle((left, top, left + 31, top + height - 1), radius=7, fill=color)
    draw.rectangle((left + 20, top, left + 31, top + height - 1), fill=background)
    draw.rectangle((left + 16, top, left + 25, top + height - 1), fill=color)
    texts.put(
        left + 13, top + height / 2, str(number), palette.text_color_on(color), 14, bold=True, anchor="mm", max_width=24
    )
    text_left, right = left + 36, left + width - 12
    main = palette.MUTED if worker.silent else palette.TEXT
    rows = f"{worker.rows} rows" if worker.rows != 1 else "1 row"
    rows_width = texts.put(right, top + 15, f"head · {rows}" if worker.head else rows, main, 13, anchor="rm")
    name_width = right - text_left - rows_width - 10
    texts.put(text_left, top + 15, worker.name, main, 13, bold=True, max_width=name_width, keep_end=True)
    bar_right = right - 78
    draw.rounded_rectangle((text_left, top + 28, bar_right, top + 36), radius=4, fill=palette.TRACK)
    load = 0.0 if worker.silent or worker.load != worker.load else min(max(worker.load, 0.0), 1.0)
    if load > 0:
        end = text_left + max(8, round(load * (bar_right - text_left)))
        draw.rounded_rectangle((text_left, top + 28, end, top + 36), radius=4, fill=color)
    busy = "silent" if worker.silent else f"{format_percent(worker.load)} busy"
    texts.put(right, top + 32, busy, main, 12, anchor="rm")
    facts = [format_ms(worker.compute_ms), format_joules(worker.energy_j)]
    if worker.work == worker.work:
        facts.append(f"{format_percent(worker.work)} of work")
    texts.put(text_left, top + 50, " · ".join(facts), palette.MUTED, 12, max_width=right - text_left)
