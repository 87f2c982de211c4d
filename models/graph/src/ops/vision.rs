//! Operators of computer vision.

use lapidary_core::tensor::DType;

use super::Operator;
use crate::lower::refusal;
use crate::opset::Change;

pub static GRID_SAMPLE: Operator = Operator {
    changes: &[Change {
        version: 20,
        rewrite: |_, node| {
            let mode = match node.text("mode") {
                Some("bilinear") => "linear",
                Some("bicubic") => "cubic",
                _ => return Ok(()),
            };
            node.attributes.insert("mode".into(), mode.into());
            Ok(())
        },
    }],
    ..Operator::standard("GridSample")
};

/// rten takes the best class of each box instead of going class by class.
pub static NON_MAX_SUPPRESSION: Operator = Operator {
    types: |_| vec![Some(DType::I64)],
    lower: Some(|_, node| Err(refusal(&node, "suppression of boxes class by class"))),
    ..Operator::standard("NonMaxSuppression")
};

pub static ROI_ALIGN: Operator = Operator {
    changes: &[Change {
        version: 16,
        rewrite: |_, node| {
            let mode = "coordinate_transformation_mode".to_owned();
            node.attributes
                .entry(mode)
                .or_insert_with(|| "output_half_pixel".into());
            Ok(())
        },
    }],
    ..Operator::standard("RoiAlign")
};
