"""Segmentation of drawn lesions, in three levels of severity, by VFFM-UNet and plain networks, and by a small student.

Source    VFFM-UNet (arXiv 2504.03108); the question of severity is the paper's.  The paper distils nothing.
Data      `Lesions`: outlines that are drawn, textures from photographs; 600 images to train on, 300 to test, 128 x 128.
          ISIC and PH2, on which the paper reports, are not used.
Networks  VFFM-UNet as it was released (351,052 parameters) and as its abstract describes it, without either of its
          fusions, beside a plain U-Net of three times the parameters and one of as many.  A U-Net of 28,000
          parameters learns from masks alone, and from masks and the probabilities of the large U-Net.
Training  Steps, batches, augmentation and AdamW are the same for all; nothing was tuned on the test split.
Measure   Mean Dice of 300 test images; for the student, of the severest hundred.

    python -m jaxkd.train --config configs/lesions.py
"""
