"""
A switch between machines that are network namespaces of this one. What one of them sends goes to whom it is for; late, or not at all,
as the last line on standard input says.

  arguments  seed, then the names of the machines; the one at place n has the interface `pk<n>` with the address 02:00:00:00:00:<n>
  stdin      {"delayMs": 20, "lossShare": 0.01, "cuts": [["edge-1", "control-1"], …]}     each line takes the place of the one before
  stdout     "ready" once the interfaces are there, and "set" after each line

Frames of a pair of machines keep their order while the delay stays as it is. What is on its way when a cut begins is lost too.
"""
import fcntl
import heapq
import json
import os
import random
import selectors
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES_MAX = 65_536
# Frames on their way; beyond that they are lost, as in any queue.
FRAMES_MAX = 100_000
# Frames of one machine before the others have their turn.
BURST = 64
PREFIX = bytes([2, 0, 0, 0, 0])


def interface(place):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", f"pk{place}".encode(), IFF_TAP | IFF_NO_PI))
    return tap


class Switch:
    def __init__(self, seed, names):
        self.random = random.Random(seed)
        self.places = {name: place for place, name in enumerate(names, 1)}
        self.taps = {place: interface(place) for place in self.places.values()}
        self.waiting = []
        self.count = 0
        self.set({})

    def set(self, state):
        self.delay = state.get("delayMs", 0) / 1000
        self.loss = state.get("lossShare", 0)
        self.cuts = {pair for one, other in state.get("cuts", []) for pair in self.pairs(one, other)}

    def pairs(self, one, other):
        left, right = self.places[one], self.places[other]
        return (left, right), (right, left)

    def read(self, place):
        for _ in range(BURST):
            try:
                frame = os.read(self.taps[place], FRAME_BYTES_MAX)
            except OSError:
                # Nothing waits, or its machine is gone.
                return
            if frame[:5] == PREFIX:
                self.send(place, frame[5], frame)
            elif frame[0] & 1:
                for other in self.taps:
                    if other != place:
                        self.send(place, other, frame)

    def send(self, place, to, frame):
        if to not in self.taps or (place, to) in self.cuts or len(self.waiting) >= FRAMES_MAX:
            return
        if self.loss > 0 and self.random.random() < self.loss:
            return
        if self.delay == 0:
            self.deliver(place, to, frame)
            return
        self.count += 1
        heapq.heappush(self.waiting, (time.monotonic() + self.delay, self.count, place, to, frame))

    def deliver(self, place, to, frame):
        if (place, to) in self.cuts:
            return
        try:
            os.write(self.taps[to], frame)
        except OSError:
            # Its interface is down, or its queue is full: lost.
            pass

    def deliver_due(self):
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, _, place, to, frame = heapq.heappop(self.waiting)
            self.deliver(place, to, frame)

    def patience(self):
        return max(0, self.waiting[0][0] - time.monotonic()) if self.waiting else None


def main(seed, names):
    switch = Switch(int(seed), names)
    selector = selectors.DefaultSelector()
    for place, tap in switch.taps.items():
        selector.register(tap, selectors.EVENT_READ, place)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select(switch.patience()):
            if key.data is not None:
                switch.read(key.data)
                continue
            line = sys.stdin.readline()
            if line == "":
                return
            switch.set(json.loads(line))
            print("set", flush=True)
        switch.deliver_due()


main(sys.argv[1], sys.argv[2:])
