//! Sliding windows: where a kernel stands on its input.

use crate::graph::Node;

/// A kernel moving over two axes, `[height, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Extents of the input.
    pub input: [usize; 2],
    /// Elements of the kernel along each axis.
    pub kernel: [usize; 2],
    /// Inputs from one output to the next.
    pub stride: [usize; 2],
    /// Inputs from one element of the kernel to the next.
    pub dilation: [usize; 2],
    /// Zeros before the first element of each axis.
    pub before: [usize; 2],
    /// Zeros behind the last element of each axis.
    pub after: [usize; 2],
    /// Extents of the output.
    pub output: [usize; 2],
}

impl Window {
    /// Reads `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode` of a convolution or pooling node (ONNX, operator Conv) for an input
    /// of one or two spatial axes; one axis becomes the width of a height of 1.
    ///
    /// # Errors
    /// Where they do not fit one another or the input.
    pub fn of(node: &Node, spatial: &[usize], kernel: &[usize]) -> Result<Self, String> {
        let rank = spatial.len();
        if !(1..=2).contains(&rank) {
            return Err(format!("{rank} spatial axes; 1 or 2 can be trained"));
        }
        let sizes = |name: &str, default: i64, count: usize| -> Result<Vec<usize>, String> {
            let values = node
                .ints(name)
                .map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let sizes: Option<Vec<usize>> =
                values.iter().map(|&v| usize::try_from(v).ok()).collect();
            sizes
                .filter(|s| s.len() == count && s.iter().all(|&v| v < 1 << 24))
                .ok_or_else(|| {
                    format!(
                        "`{name}` is {values:?}; needed are {count} numbers from 0 to {}",
                        1 << 24
                    )
                })
        };
        let strides = sizes("strides", 1, rank)?;
        let dilations = sizes("dilations", 1, rank)?;
        let mut pads = sizes("pads", 0, 2 * rank)?;
        if strides.contains(&0)
            || dilations.contains(&0)
            || kernel.contains(&0)
            || kernel.len() != rank
        {
            return Err(format!(
                "kernel {kernel:?}, strides {strides:?} and dilations {dilations:?} must be positive, one for each of {rank} axes"
            ));
        }
        let extent = |i: usize| dilations[i] * (kernel[i] - 1) + 1;
        let auto = node.text("auto_pad").unwrap_or("NOTSET");
        match auto {
            "NOTSET" | "" => {}
            "VALID" => pads.fill(0),
            "SAME_UPPER" | "SAME_LOWER" => {
                for i in 0..rank {
                    let outputs = spatial[i].div_ceil(strides[i]);
                    let total =
                        ((outputs.max(1) - 1) * strides[i] + extent(i)).saturating_sub(spatial[i]);
                    let small = total / 2;
                    let (before, after) = if auto == "SAME_UPPER" {
                        (small, total - small)
                    } else {
                        (total - small, small)
                    };
                    (pads[i], pads[rank + i]) = (before, after);
                }
            }
            other => return Err(format!("unknown auto_pad `{other}`")),
        }
        let ceil = node.int("ceil_mode", 0) != 0;
        let mut window = Self {
            input: [1; 2],
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            after: [0; 2],
            output: [1; 2],
        };
        for i in 0..rank {
            let at = 2 - rank + i;
            let padded = spatial[i] + pads[i] + pads[rank + i];
            let room = padded.checked_sub(extent(i)).ok_or_else(|| {
                format!("the kernel {kernel:?} is larger than the padded input {spatial:?}")
            })?;
            let mut output = room / strides[i] + 1;
            // A window that would begin in the padding behind the input is dropped, as in ONNX.
            if ceil && room % strides[i] != 0 && output * strides[i] < spatial[i] + pads[i] {
                output += 1;
            }
            window.input[at] = spatial[i];
            window.kernel[at] = kernel[i];
            window.stride[at] = strides[i];
            window.dilation[at] = dilations[i];
            window.before[at] = pads[i];
            window.after[at] = pads[rank + i];
            window.output[at] = output;
        }
        Ok(window)
    }

    /// Elements of a kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Elements of an input plane.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of an output plane.
    pub fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// What must stand before and behind the input of each axis for exactly the windows there are, the last ones of `ceil_mode` included.
    pub fn margins(&self) -> [(usize, usize); 2] {
        std::array::from_fn(|axis| {
            let reach = (self.output[axis] - 1) * self.stride[axis]
                + self.dilation[axis] * (self.kernel[axis] - 1)
                + 1;
            let behind = reach.saturating_sub(self.before[axis] + self.input[axis]);
            (self.before[axis], behind)
        })
    }
}

/// A convolution of `[batch, channels, height, width]` by `[filters, channels / groups, height, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convolution {
    /// How the filters move over a plane.
    pub window: Window,
    /// Samples.
    pub batch: usize,
    /// Channels of a sample.
    pub channels: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Groups of channels, each with filters of its own.
    pub groups: usize,
}

impl Convolution {
    /// Elements of a sample of the input.
    pub fn sample_in(&self) -> usize {
        self.channels * self.window.inputs()
    }

    /// Elements of a sample of the output.
    pub fn sample_out(&self) -> usize {
        self.filters * self.window.outputs()
    }

    /// Elements of a filter.
    pub fn depth(&self) -> usize {
        self.channels / self.groups * self.window.taps()
    }

    /// Whether each channel has filters of its own.
    pub fn is_depthwise(&self) -> bool {
        self.channels == self.groups
    }
}
