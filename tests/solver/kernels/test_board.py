# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a region tell each other."""

import threading

import numpy as np
import pytest

from solver.kernels import threads
from solver.kernels.board import meet, new_board, next_piece
from solver.kernels.compilation import helper

ROUNDS = 200


@helper
def _take_pieces(takers, board, part):
    """Add to each piece a number that tells who has taken it, and how often."""
    piece = next_piece(board, 1)
    while piece < len(takers):
        takers[piece] += 1 << part
        piece = next_piece(board, 1)


@helper
def _pass_on(seen, board, part, parts):
    """Everybody writes, and then reads what the next part wrote in the same round."""
    for turn in range(1, len(seen)):
        seen[turn, part, 0] = seen[turn - 1, part, 1] + 1
        if not meet(board, parts):
            return
        seen[turn, part, 1] = seen[turn, (part + 1) % parts, 0]


def test_every_piece_is_taken_once():
    takers, board = np.zeros(1000, np.int64), new_board()
    threads.run(lambda part, parts: _take_pieces(takers, board, part), 3, board)
    assert set(takers) <= {1, 2, 4}
    assert next_piece(board, 0) == 0  # each counter is its own


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_all_have_come_when_one_goes_on(parts):
    seen, board = np.zeros((ROUNDS, parts, 2), np.int64), new_board()
    threads.run(lambda part, parts: _pass_on(seen, board, part, parts), parts, board)
    assert (seen[:, :, 1] == np.arange(ROUNDS)[:, None]).all()


@pytest.mark.parametrize("failing", [0, 2])
def test_nobody_waits_for_a_part_that_fails(failing):
    board, met = new_board(), []

    def share(part, parts):
        if part == failing:
            raise ZeroDivisionError(part)
        met.append(meet(board, parts))

    with pytest.raises(ZeroDivisionError, match=str(failing)):
        threads.run(share, 3, board)
    assert met == [False, False]


def test_callers_do_not_wait_for_each_other_crosswise():
    def call():
        for _ in range(100):
            board = new_board()
            threads.run(lambda part, parts, board=board: meet(board, parts), 4, board)

    callers = [threading.Thread(target=call, daemon=True) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
