"""Annotations of hands in images: cameras, boxes and joints of AssemblyHands and ARCTIC, as their files hold them."""

from jaxkd.data.images.hands.arctic import ArcticSubject as ArcticSubject
from jaxkd.data.images.hands.arctic import arctic_frames as arctic_frames
from jaxkd.data.images.hands.arctic import read_arctic_protocol as read_arctic_protocol
from jaxkd.data.images.hands.arctic import read_arctic_subjects as read_arctic_subjects
from jaxkd.data.images.hands.arctic_sequences import ArcticSequence as ArcticSequence
from jaxkd.data.images.hands.arctic_sequences import read_arctic_sequences as read_arctic_sequences
from jaxkd.data.images.hands.assembly_hands import read_assembly_hands as read_assembly_hands
from jaxkd.data.images.hands.frames import HandCamera as HandCamera
from jaxkd.data.images.hands.frames import HandFrame as HandFrame
from jaxkd.data.images.hands.frames import HandFrames as HandFrames
from jaxkd.data.images.hands.instants import frames_by_instant as frames_by_instant
