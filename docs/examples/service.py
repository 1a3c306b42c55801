"""A checkpoint as a web service, an image in and JSON out: MODEL=runs/fit/version_0 uvicorn service:app."""

import os
from contextlib import asynccontextmanager
from typing import Annotated

import anyio.to_thread
import numpy as np
from fastapi import Body, FastAPI, HTTPException, Request

from visiontasks import predict_images
from visiontasks.prediction import create_predictor


@asynccontextmanager
async def lifespan(app):
    predictor = create_predictor(os.environ["MODEL"])
    # The first call is slow, and shall not be that of a user.
    list(predict_images(predictor, np.zeros((480, 640, predictor.task.in_channels), np.uint8)))
    # Requests that are computed at once; the others wait.
    anyio.to_thread.current_default_thread_limiter().total_tokens = 4
    app.state.predictor = predictor
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(request: Request, image: Annotated[bytes, Body(media_type="application/octet-stream")]):
    (prediction,) = predict_images(request.app.state.predictor, image, max_pixels=50_000_000)
    if prediction.error is not None:
        raise HTTPException(422, prediction.error)
    return prediction.as_dict()
