"""Sixty-four evaluations in a word: failures, numbers in bit planes, and votes.

A number is a list of planes from the lowest bit, each a tensor of int64 words; word and bit say which evaluation.
"""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.fault_tolerant.codes.grid_faults import fault_positions

WORD = 64
ALL = -1
"""The word of 64 ones."""


def kept_words(n_sites: int, n_words: int, p: float, generator: torch.Generator, frozen: bool) -> Tensor:
    """Draw which sites work in 64 evaluations a word, (n_sites, n_words): every bit is 0 with probability p, by itself.

    Only failures cost random numbers. If frozen, a site works in all evaluations or in none.
    """
    if frozen:
        words = torch.full((n_sites, 1), ALL, device=generator.device)
        words[fault_positions(n_sites, p, generator)] = 0
        return words.expand(-1, n_words)
    words = torch.full((n_sites, n_words), ALL, device=generator.device)
    at, bits = _failed_bits(words.numel(), p, generator)
    words.view(-1).index_add_(0, at, bits, alpha=-1)
    return words


def lose(words: Tensor, p: float, generator: torch.Generator, frozen: bool) -> Tensor:
    """Clear every bit of words (n_sites, n_words) with probability p, in place."""
    if frozen:
        return words.bitwise_and_(kept_words(len(words), words.shape[1], p, generator, frozen))
    flat = words.view(-1)
    at, bits = _failed_bits(len(flat), p, generator)
    flat.index_add_(0, at, bits.bitwise_and_(flat.index_select(0, at)), alpha=-1)
    return words


def _failed_bits(n_words: int, p: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw failures: word and bit of each. As all differ, bits of a word can be added or taken away one by one."""
    at = fault_positions(WORD * n_words, p, generator)
    bits = torch.ones_like(at).bitwise_left_shift_(at & (WORD - 1))
    return at.bitwise_right_shift_(6), bits


def unpack(words: Tensor) -> NDArray[np.uint8]:
    """Return the bits of words (..., W), 0 or 1, (..., 64 W)."""
    as_bytes = words.contiguous().cpu().numpy().astype("<i8", copy=False).view(np.uint8)
    return np.unpackbits(as_bytes, axis=-1, bitorder="little")


def add(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """Add two numbers."""
    total: list[Tensor] = []
    carry = None
    for planes in zip_longest(a, b):
        x, *others = [one for one in (*planes, carry) if one is not None]
        if not others:
            total.append(x)
            carry = None
        elif len(others) == 1:
            total.append(x ^ others[0])
            carry = x & others[0]
        else:
            plane, carry = _full_adder(x, *others)
            total.append(plane)
    return total if carry is None else [*total, carry]


def relu_of_difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """Return a - b, or 0 where b is larger."""
    planes: list[Tensor] = []
    borrow = None
    for x, y in zip_longest(a, b):
        if x is None:
            borrow = y if borrow is None else borrow | y
        elif y is None:
            planes.append(x if borrow is None else x ^ borrow)
            borrow = None if borrow is None else borrow & ~x
        elif borrow is None:
            planes.append(x ^ y)
            borrow = y & ~x
        else:
            differ = x ^ y
            planes.append(differ ^ borrow)
            borrow = (borrow & ~differ).bitwise_or_(y & ~x)
    if borrow is None:
        return planes
    is_positive = ~borrow
    return [one & is_positive for one in planes]


def majority(votes: Tensor) -> Tensor:
    """Return whether more than half of the votes (n, ...) are 1, (...)."""
    return at_least(_count(votes), len(votes) // 2 + 1)


def at_least(number: Sequence[Tensor], least: int) -> Tensor:
    """Return whether a number is `least` or more."""
    if least >= 2 ** len(number):
        return torch.zeros_like(number[0])
    reached = torch.full_like(number[0], ALL)
    for at, plane in enumerate(number):
        reached = plane & reached if least >> at & 1 else plane | reached
    return reached


def _count(votes: Tensor) -> list[Tensor]:
    """Count ones over the first dimension by full adders, three words of one weight at a time."""
    planes = []
    while len(votes):
        carries = []
        while len(votes) >= 3:
            n = len(votes) // 3
            sums, carry = _full_adder(votes[:n], votes[n : 2 * n], votes[2 * n : 3 * n])
            carries.append(carry)
            votes = torch.cat([sums, votes[3 * n :]])
        if len(votes) == 2:
            carries.append(votes[:1] & votes[1:])
            votes = votes[:1] ^ votes[1:]
        planes.append(votes[0])
        votes = torch.cat(carries) if carries else votes[:0]
    return planes


def _full_adder(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    half = x ^ y
    carry = (x & y).bitwise_or_(half & z)
    return half.bitwise_xor_(z), carry
