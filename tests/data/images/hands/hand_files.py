"""Files in the formats of AssemblyHands and ARCTIC, of invented hands."""

import json

import numpy as np

from jaxkd.records.hands import ARCTIC, ASSEMBLY_HANDS
from tests.tiny_hands import hands

SEQUENCE, CAMERA = "nusar-2021_action_both_9021", "HMC_21179183"


def rotation(seed):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def assembly_pose(frame, *, sequence=0):
    """42 joints in millimetres."""
    pair = [
        hands(100 * sequence + frame + 7 * one, 1, order=ASSEMBLY_HANDS, side=side)[0]
        for one, side in enumerate(("right", "left"))
    ]
    return 1000 * np.concatenate(pair)


def assembly_files(count=3, *, sequence=SEQUENCE):
    """Contents of the three files of a split: data, calibration, joints."""
    frames = [f"{10 * one + 4:06d}" for one in range(count)]
    images, annotations = [], []
    for place, frame in enumerate(frames):
        images.append(
            {
                "id": 50 + place,
                "file_name": f"{sequence}/{CAMERA}/{frame}.jpg",
                "width": 636,
                "height": 480,
                "seq_name": sequence,
                "camera": CAMERA,
                "frame_idx": int(frame),
            }
        )
        annotations.append(
            {
                "id": 900 + place,
                "image_id": 50 + place,
                "joint_valid": [1] * 42,
                "bbox": {"right": [10.0, 20.0, 110.0, 140.0], "left": None},
            }
        )
    name = f"{CAMERA}_mono10bit"
    extrinsics = {
        frame: {name: np.column_stack([rotation(place), [10.0, -20.0, 300.0 + place]]).tolist()}
        for place, frame in enumerate(frames)
    }
    calibration = {
        sequence: {"intrinsics": {name: [[190, 0, 318], [0, 191, 240], [0, 0, 1]]}, "extrinsics": extrinsics}
    }
    joints = {
        sequence: {
            frame: {"world_coord": assembly_pose(place).tolist(), "joint_valid": [[1]] * 42}
            for place, frame in enumerate(frames)
        }
    }
    return {
        "ego_data": {"images": images, "annotations": annotations},
        "ego_calib": {"calibration": calibration},
        "joint_3d": {"annotations": joints},
    }


def write_assembly(folder, contents, *, split="val", version="v1-1"):
    (folder / split).mkdir(parents=True, exist_ok=True)
    for part, content in contents.items():
        (folder / split / f"assemblyhands_{split}_{part}_{version}.json").write_text(json.dumps(content))
    return folder


FRAMES, OFFSET = 26, 3


def arctic_subject():
    """Entry of `misc.json`."""
    transforms = [np.block([[rotation(view), np.full((3, 1), 0.1 * view)], [0, 0, 0, 1]]) for view in range(1, 9)]
    return {
        "intris_mat": [[[8000.0 + view, 0, 1000], [0, 8000.0, 1400], [0, 0, 1]] for view in range(8)],
        "world2cam": [one.tolist() for one in transforms],
        "image_size": [[2800, 2000]] + [[2000, 2800]] * 8,
        "ioi_offset": OFFSET,
        "gender": "female",
    }


def arctic_sequence():
    """Contents of one sequence: the joints of each view are those of the world in its camera."""
    world = np.stack(
        [hands(one, FRAMES, order=ARCTIC, side=side) for one, side in enumerate(("right", "left"))], axis=1
    )
    to_cameras = np.array(arctic_subject()["world2cam"])
    ego = np.tile(np.eye(4), (FRAMES, 1, 1))
    ego[:, :3, :3], ego[:, :3, 3] = rotation(40), np.arange(FRAMES)[:, None] * 0.01
    moves = np.concatenate([ego[:, None], np.broadcast_to(to_cameras, (FRAMES, 8, 4, 4)), ego[:, None]], axis=1)
    joints = np.einsum("fvij,fhkj->fvhki", moves[..., :3, :3], world) + moves[:, :, None, None, :3, 3]
    coordinates = {
        "joints.right": joints[:, :, 0].astype(np.float32),
        "joints.left": joints[:, :, 1].astype(np.float32),
        "kp3d": np.zeros((FRAMES, 10, 32, 3), np.float32),
        "is_valid": np.ones((FRAMES, 10)),
        "right_valid": np.ones((FRAMES, 10)),
        "left_valid": (np.arange(FRAMES)[:, None] != 14) * np.ones((1, 10)),
    }
    boxes = np.broadcast_to(np.array([1000.0, 1000, 3], np.float32), (FRAMES, 10, 3))
    params = {
        "obj_arti": np.linspace(0, 1, FRAMES),
        "K_ego": np.array([[1600.0, 0, 1400], [0, 1600, 1000], [0, 0, 1]]),
        "dist": np.tile(np.arange(1.0, 9), (FRAMES, 1)),
        "world2ego": ego,
    }
    return {"cam_coord": coordinates, "2d": {}, "bbox": boxes, "params": params}, world


def write_split(path, sequences):
    np.save(path, {"data_dict": sequences, "imgnames": []}, allow_pickle=True)
    return path
