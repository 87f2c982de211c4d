//! Operators of computer vision.

use super::Operator;
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
