"""Program that `test_processes` starts: texts of a tiny model, on a mesh over all processes."""

import json

import jax

from jaxkd.models.transformer import decoder
from jaxkd.sampling import Sampling, generate
from jaxkd.sharding import mesh, shard
from tests.models import tiny
from tests.sampling.cases import PROMPTS, language_model

if __name__ == "__main__":
    mesh.initialize_processes()
    with jax.set_mesh(mesh.make(mesh.MeshShape(data=1, fsdp=-1))):
        model = language_model(tiny.LLAMA, place=lambda params: shard(params, decoder.logical_axes(tiny.LLAMA)))
        written = generate(
            model, PROMPTS, max_new_tokens=6, sampling=Sampling(temperature=1.0, top_p=0.9), key=jax.random.key(3)
        )
    print(json.dumps([text.tokens for text in written]))
