//! The shapes that operators give.

use super::{Call, Extents, Fact, axis_of, broadcast};

impl Call<'_> {
    /// What is known of each output; fewer where nothing is known of the rest.
    pub(super) fn outputs(&self) -> Vec<Fact> {
        if self.node.domain == "com.microsoft" {
            return match self.node.op.as_str() {
                "MatMulNBits" => vec![self.matmul_bits()],
                "Gelu" | "FastGelu" | "BiasGelu" | "QuickGelu" => vec![self.like(0)],
                "FusedMatMul" => vec![Fact::unknown()],
                _ => Vec::new(),
            };
        }
        if !self.node.is_standard() {
            return Vec::new();
        }
        let first = match self.node.op.as_str() {
            "Split" => return self.split().unwrap_or_default(),
            "LSTM" | "GRU" | "RNN" => return self.recurrent().unwrap_or_default(),
            "TopK" => return self.top_k().unwrap_or_default(),
            "LayerNormalization" | "DynamicQuantizeLinear" if self.node.outputs.len() > 1 => {
                return vec![self.like(0)];
            }
            "Dropout" | "MaxPool" if self.node.outputs.len() > 1 => {
                let fact = self.first();
                return vec![fact.clone(), Fact { ints: None, ..fact }];
            }
            _ => self.first(),
        };
        vec![first]
    }

    fn first(&self) -> Fact {
        let shape = self.first_shape().or_else(|| match self.node.op.as_str() {
            "Constant" => self.constant().shape,
            _ => None,
        });
        // Element by element means nothing where the shapes do not say the same count.
        let count = shape.as_ref().and_then(|s| volume(s));
        let ints = self
            .followed_ints()
            .filter(|list| count.is_none_or(|n| n == list.len()));
        Fact { shape, ints }
    }

    fn like(&self, i: usize) -> Fact {
        Fact {
            shape: self.shape(i).cloned(),
            ints: None,
        }
    }

    fn first_shape(&self) -> Option<Extents> {
        match self.node.op.as_str() {
            "Relu"
            | "LeakyRelu"
            | "Sigmoid"
            | "Tanh"
            | "Erf"
            | "Exp"
            | "Log"
            | "Sqrt"
            | "Softmax"
            | "LogSoftmax"
            | "Hardmax"
            | "Dropout"
            | "Clip"
            | "Cast"
            | "CastLike"
            | "Identity"
            | "BatchNormalization"
            | "LayerNormalization"
            | "RMSNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LpNormalization"
            | "MeanVarianceNormalization"
            | "LRN"
            | "Neg"
            | "Abs"
            | "Gelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "Mish"
            | "HardSigmoid"
            | "HardSwish"
            | "Swish"
            | "Softplus"
            | "Softsign"
            | "ThresholdedRelu"
            | "Shrink"
            | "PRelu"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sign"
            | "Not"
            | "Reciprocal"
            | "Sin"
            | "Cos"
            | "Tan"
            | "Asin"
            | "Acos"
            | "Atan"
            | "Sinh"
            | "Cosh"
            | "Asinh"
            | "Acosh"
            | "Atanh"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "CumSum"
            | "Trilu"
            | "IsNaN"
            | "IsInf"
            | "ScatterND"
            | "ScatterElements"
            | "Scatter"
            | "ReverseSequence"
            | "EyeLike"
            | "BitwiseNot"
            | "RotaryEmbedding" => self.shape(0).cloned(),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Mean" | "Sum" | "And"
            | "Or" | "Xor" | "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual"
            | "Where" | "Mod" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" => {
                let shapes: Option<Vec<_>> =
                    (0..self.inputs.len()).map(|i| self.shape(i)).collect();
                Some(broadcast(&shapes?))
            }
            "Conv" | "ConvInteger" => self.convolution(1),
            "QLinearConv" => self.convolution(3),
            "ConvTranspose" => self.convolution_transposed(),
            "MaxPool" | "AveragePool" | "LpPool" => self.pool(),
            "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
                let x = self.shape(0)?;
                Some(
                    (0..x.len())
                        .map(|i| if i < 2 { x[i] } else { Some(1) })
                        .collect(),
                )
            }
            "Gemm" => self.gemm(),
            "MatMul" | "MatMulInteger" => matmul(self.shape(0)?, self.shape(1)?),
            "QLinearMatMul" => matmul(self.shape(0)?, self.shape(3)?),
            "Reshape" => self.reshape(),
            "Flatten" => {
                let x = self.shape(0)?;
                let axis = self.node.int("axis", 1);
                let axis = if axis == x.len() as i64 {
                    x.len()
                } else {
                    axis_of(axis, x.len())?
                };
                Some(vec![volume(&x[..axis]), volume(&x[axis..])])
            }
            "Transpose" => {
                let x = self.shape(0)?;
                match self.node.ints("perm") {
                    Some(perm) => perm
                        .iter()
                        .map(|&p| Some(x[axis_of(p, x.len())?]))
                        .collect(),
                    None => Some(x.iter().rev().copied().collect()),
                }
            }
            "Concat" => self.concat(),
            "Slice" => self.slice(),
            "Gather" => {
                let (x, at) = (self.shape(0)?, self.shape(1)?);
                let axis = axis_of(self.node.int("axis", 0), x.len())?;
                Some([&x[..axis], at, &x[axis + 1..]].concat())
            }
            "GatherElements" => self.shape(1).cloned(),
            "GatherND" => {
                let (x, at) = (self.shape(0)?, self.shape(1)?);
                let batch = usize::try_from(self.node.int("batch_dims", 0)).ok()?;
                let depth = (*at.last()?)?;
                Some([&at[..at.len() - 1], x.get(batch + depth..)?].concat())
            }
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Shape" => {
                let rank = self.shape(0)?.len();
                let (start, end) = self.shape_range(rank);
                Some(vec![Some(end.saturating_sub(start))])
            }
            "Size" => Some(vec![]),
            "ConstantOfShape" => match self.inputs.first()?.ints.as_ref() {
                Some(dims) => Some(dims.iter().map(|d| extent((*d)?)).collect()),
                None => Some(vec![None; (*self.shape(0)?.first()?)?.min(64)]),
            },
            "Expand" => {
                let target: Extents = (self.inputs.get(1)?.ints.as_ref()?.iter())
                    .map(|d| extent((*d)?))
                    .collect();
                Some(broadcast(&[self.shape(0)?, &target]))
            }
            "Tile" => {
                let repeats = self.ints(1)?;
                let times = |(d, &r): (&Option<usize>, &i64)| (*d)?.checked_mul(extent(r)?);
                Some(self.shape(0)?.iter().zip(&repeats).map(times).collect())
            }
            "Pad" => self.pad(),
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1"
            | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare" => self.reduce(),
            "ArgMax" | "ArgMin" => {
                let axis = axis_of(self.node.int("axis", 0), self.shape(0)?.len())?;
                self.without(&[axis])
            }
            "Resize" | "Upsample" => self.resize(),
            "DepthToSpace" | "SpaceToDepth" => self.blocks(),
            "Range" => {
                let (from, to, by) = (self.ints(0)?, self.ints(1)?, self.ints(2)?);
                let (from, to, by) = (*from.first()?, *to.first()?, *by.first()?);
                let n = to
                    .checked_sub(from)?
                    .checked_add(by.checked_sub(by.signum())?)?
                    .checked_div(by)?;
                Some(vec![extent(n.max(0))])
            }
            "OneHot" => {
                let mut shape = self.shape(0)?.clone();
                let depth = self.ints(1).and_then(|d| extent(*d.first()?));
                let axis = axis_of(self.node.int("axis", -1), shape.len() + 1)?;
                shape.insert(axis, depth);
                Some(shape)
            }
            "NonZero" => Some(vec![Some(self.shape(0)?.len()), None]),
            "Einsum" => self.einsum(),
            _ => None,
        }
    }

    /// Attribute lists for `n` spatial axes, with their defaults.
    fn spatial(&self, name: &str, n: usize, default: i64) -> Option<Vec<usize>> {
        match self.node.ints(name) {
            Some(list) if list.len() == n => list.iter().map(|&v| extent(v)).collect(),
            Some(_) => None,
            None => Some(vec![extent(default)?; n]),
        }
    }

    /// The spatial extents behind a window of extents `kernel`.
    fn windows(&self, x: &[Option<usize>], kernel: &[usize]) -> Option<Extents> {
        let n = x.len();
        let strides = self.spatial("strides", n, 1)?;
        let dilations = self.spatial("dilations", n, 1)?;
        let pads = self.spatial("pads", 2 * n, 0)?;
        let same = matches!(
            self.node.text("auto_pad"),
            Some("SAME_UPPER" | "SAME_LOWER")
        );
        let valid = self.node.text("auto_pad") == Some("VALID");
        let ceil = self.node.int("ceil_mode", 0) != 0;
        let one = |i: usize| -> Option<usize> {
            let stride = strides[i].max(1);
            let x = x[i]?;
            if same {
                return Some(x.div_ceil(stride));
            }
            let (before, after) = if valid {
                (0, 0)
            } else {
                (pads[i], pads[n + i])
            };
            let window = dilations[i]
                .checked_mul(kernel[i].checked_sub(1)?)?
                .checked_add(1)?;
            let room = x
                .checked_add(before)?
                .checked_add(after)?
                .checked_sub(window)?;
            let mut out = if ceil {
                room.div_ceil(stride)
            } else {
                room / stride
            } + 1;
            // A window that would start in the padding behind the input is left out.
            if ceil && (out - 1).saturating_mul(stride) >= x + before {
                out -= 1;
            }
            Some(out)
        };
        Some((0..n).map(one).collect())
    }

    /// A convolution whose kernel is input `weight`.
    fn convolution(&self, weight: usize) -> Option<Extents> {
        let (x, w) = (self.shape(0)?, self.shape(weight)?);
        let kernel: Vec<usize> = w.get(2..)?.iter().copied().collect::<Option<_>>()?;
        let spatial = x.get(2..).filter(|s| s.len() == kernel.len())?;
        let mut shape = vec![x[0], w[0]];
        shape.extend(self.windows(spatial, &kernel)?);
        Some(shape)
    }

    fn convolution_transposed(&self) -> Option<Extents> {
        let (x, w) = (self.shape(0)?, self.shape(1)?);
        let kernel: Vec<usize> = w.get(2..)?.iter().copied().collect::<Option<_>>()?;
        let n = kernel.len();
        let spatial = x.get(2..).filter(|s| s.len() == n)?;
        let group = extent(self.node.int("group", 1))?;
        let mut shape = vec![x[0], w[1]?.checked_mul(group)];
        if let Some(fixed) = self.node.ints("output_shape") {
            let from = fixed.len().checked_sub(n)?;
            shape.extend(fixed[from..].iter().map(|&d| extent(d)));
            return Some(shape);
        }
        let strides = self.spatial("strides", n, 1)?;
        let dilations = self.spatial("dilations", n, 1)?;
        let pads = self.spatial("pads", 2 * n, 0)?;
        let extra = self.spatial("output_padding", n, 0)?;
        let same = matches!(
            self.node.text("auto_pad"),
            Some("SAME_UPPER" | "SAME_LOWER")
        );
        shape.extend((0..n).map(|i| {
            let x = spatial[i]?;
            if same {
                return x.checked_mul(strides[i]);
            }
            let window = dilations[i]
                .checked_mul(kernel[i].checked_sub(1)?)?
                .checked_add(1)?;
            (strides[i]
                .checked_mul(x.checked_sub(1)?)?
                .checked_add(extra[i])?
                .checked_add(window)?)
            .checked_sub(pads[i].checked_add(pads[n + i])?)
        }));
        Some(shape)
    }

    fn pool(&self) -> Option<Extents> {
        let x = self.shape(0)?;
        let spatial = x.get(2..)?;
        let kernel = self.spatial("kernel_shape", spatial.len(), 1)?;
        let mut shape = x[..2].to_vec();
        shape.extend(self.windows(spatial, &kernel)?);
        Some(shape)
    }

    fn gemm(&self) -> Option<Extents> {
        let (a, b) = (self.shape(0)?, self.shape(1)?);
        if a.len() != 2 || b.len() != 2 {
            return None;
        }
        let rows = a[usize::from(self.node.int("transA", 0) != 0)];
        let columns = b[usize::from(self.node.int("transB", 0) == 0)];
        Some(vec![rows, columns])
    }

    fn matmul_bits(&self) -> Fact {
        let shape = self.shape(0).and_then(|x| {
            let mut shape = x.clone();
            *shape.last_mut()? = extent(self.node.int("N", -1));
            Some(shape)
        });
        Fact { shape, ints: None }
    }

    fn reshape(&self) -> Option<Extents> {
        let x = self.shape(0);
        let target = match self.node.ints("shape") {
            Some(list) => list.iter().map(|&v| Some(v)).collect(),
            None => match &self.inputs.get(1)?.ints {
                Some(target) => target.clone(),
                None => return Some(vec![None; (*self.shape(1)?.first()?)?.min(64)]),
            },
        };
        let keep_zero = self.node.int("allowzero", 0) != 0;
        let mut shape: Extents = (target.iter().enumerate())
            .map(|(i, d)| match (*d)? {
                -1 => None,
                0 if !keep_zero => *x?.get(i)?,
                d => extent(d),
            })
            .collect();
        // One open extent follows from the others, whether it was written as −1 or could not be inferred.
        let open: Vec<usize> = (0..shape.len()).filter(|&i| shape[i].is_none()).collect();
        if let ([open], Some(total)) = (open.as_slice(), x.and_then(|x| volume(x))) {
            let rest: usize = shape
                .iter()
                .flatten()
                .try_fold(1usize, |n, &d| n.checked_mul(d))?;
            if rest > 0 && total % rest == 0 {
                shape[*open] = Some(total / rest);
            }
        }
        Some(shape)
    }

    fn concat(&self) -> Option<Extents> {
        let mut shape = self.shape(0)?.clone();
        let axis = axis_of(self.node.int("axis", 1), shape.len())?;
        for i in 1..self.inputs.len() {
            let other = self.shape(i).filter(|s| s.len() == shape.len());
            let Some(other) = other else {
                shape[axis] = None;
                continue;
            };
            for (at, (d, &o)) in shape.iter_mut().zip(other).enumerate() {
                *d = if at == axis {
                    d.zip(o).map(|(a, b)| a.saturating_add(b))
                } else {
                    d.or(o)
                };
            }
        }
        Some(shape)
    }

    fn slice(&self) -> Option<Extents> {
        let mut shape = self.shape(0)?.clone();
        let rank = shape.len();
        let axes = match self.list("axes", 3) {
            Some(axes) => axes,
            None if self.given(3) => return Some(vec![None; rank]),
            None => (0..rank as i64).collect(),
        };
        let starts = self.slice_list("starts", 1);
        let ends = self.slice_list("ends", 2);
        for (i, &axis) in axes.iter().enumerate() {
            let axis = axis_of(axis, rank)?;
            let step = match (self.given(4), self.ints(4)) {
                (false, _) => Some(1),
                (true, Some(steps)) => steps.get(i).copied(),
                (true, None) => None,
            };
            let known = |list: &Option<Vec<Option<i64>>>| *list.as_ref()?.get(i)?;
            shape[axis] = (|| {
                let n = shape[axis]?;
                Some(slice_range(n, known(&starts)?, known(&ends)?, step?)?.1)
            })();
        }
        Some(shape)
    }

    /// Bounds of a slice, each where known.
    fn slice_list(&self, name: &str, i: usize) -> Option<Vec<Option<i64>>> {
        match self.node.ints(name) {
            Some(list) => Some(list.iter().map(|&v| Some(v)).collect()),
            None => self.inputs.get(i)?.ints.clone(),
        }
    }

    fn squeeze(&self) -> Option<Extents> {
        let x = self.shape(0)?;
        match self.list("axes", 1) {
            Some(axes) => {
                let axes: Vec<usize> = axes
                    .iter()
                    .map(|&a| axis_of(a, x.len()))
                    .collect::<Option<_>>()?;
                Some(
                    (0..x.len())
                        .filter(|i| !axes.contains(i))
                        .map(|i| x[i])
                        .collect(),
                )
            }
            None if self.given(1) || x.contains(&None) => None,
            None => Some(x.iter().copied().filter(|d| *d != Some(1)).collect()),
        }
    }

    fn unsqueeze(&self) -> Option<Extents> {
        let x = self.shape(0)?;
        let axes = self.list("axes", 1)?;
        let rank = x.len() + axes.len();
        let axes: Vec<usize> = axes
            .iter()
            .map(|&a| axis_of(a, rank))
            .collect::<Option<_>>()?;
        let mut rest = x.iter().copied();
        Some(
            (0..rank)
                .map(|i| {
                    if axes.contains(&i) {
                        Some(1)
                    } else {
                        rest.next().flatten()
                    }
                })
                .collect(),
        )
    }

    /// The axes that `Shape` tells of, of `rank`.
    pub(super) fn shape_range(&self, rank: usize) -> (usize, usize) {
        let bound =
            |v: i64| (if v < 0 { v + rank as i64 } else { v }).clamp(0, rank as i64) as usize;
        (
            bound(self.node.int("start", 0)),
            bound(self.node.int("end", rank as i64)),
        )
    }

    fn pad(&self) -> Option<Extents> {
        let x = self.shape(0)?;
        let pads = match self.list("pads", 1) {
            Some(pads) => pads,
            None => return Some(vec![None; x.len()]),
        };
        let axes: Vec<usize> = match self.ints(3) {
            Some(axes) => axes
                .iter()
                .map(|&a| axis_of(a, x.len()))
                .collect::<Option<_>>()?,
            None if self.given(3) => return Some(vec![None; x.len()]),
            None => (0..x.len()).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return None;
        }
        let mut shape = x.clone();
        for (i, &axis) in axes.iter().enumerate() {
            let both = pads[i].checked_add(pads[axes.len() + i])?;
            shape[axis] = shape[axis].and_then(|d| extent((d as i64).checked_add(both)?));
        }
        Some(shape)
    }

    /// The shape of input 0 with `axes` reduced, which are kept as 1 where the node says so.
    fn without(&self, axes: &[usize]) -> Option<Extents> {
        let x = self.shape(0)?;
        let keep = self.node.int("keepdims", 1) != 0;
        let one = |i: usize| match (axes.contains(&i), keep) {
            (false, _) => Some(x[i]),
            (true, true) => Some(Some(1)),
            (true, false) => None,
        };
        Some((0..x.len()).filter_map(one).collect())
    }

    fn reduce(&self) -> Option<Extents> {
        let rank = self.shape(0)?.len();
        let axes = match self.list("axes", 1) {
            Some(axes) => axes
                .iter()
                .map(|&a| axis_of(a, rank))
                .collect::<Option<Vec<_>>>()?,
            None if self.given(1) => return None,
            None => Vec::new(),
        };
        if !axes.is_empty() {
            return self.without(&axes);
        }
        if self.node.int("noop_with_empty_axes", 0) != 0 {
            return self.shape(0).cloned();
        }
        self.without(&(0..rank).collect::<Vec<_>>())
    }

    fn resize(&self) -> Option<Extents> {
        let x = self.shape(0)?;
        let (scales, sizes) = match self.node.op.as_str() {
            "Upsample" => (1, None),
            _ if self.opset < 11 => (1, None),
            _ => (2, Some(3)),
        };
        let axes: Vec<usize> = match self.node.ints("axes") {
            Some(axes) => axes
                .iter()
                .map(|&a| axis_of(a, x.len()))
                .collect::<Option<_>>()?,
            None => (0..x.len()).collect(),
        };
        let mut shape = x.clone();
        if let Some(sizes) = sizes.filter(|&i| self.given(i)) {
            let sizes = &self.inputs.get(sizes)?.ints;
            let stretched = matches!(
                self.node.text("keep_aspect_ratio_policy"),
                None | Some("stretch")
            );
            let sizes = sizes.as_ref().filter(|_| stretched);
            for (i, &axis) in axes.iter().enumerate() {
                shape[axis] = sizes.as_ref().and_then(|s| extent((*s.get(i)?)?));
            }
            return Some(shape);
        }
        let scales = (self.floats)(scales);
        for (i, &axis) in axes.iter().enumerate() {
            let scaled =
                |d: usize| Some((d as f64 * f64::from(*scales.as_ref()?.get(i)?)).floor() as usize);
            shape[axis] = shape[axis].and_then(scaled);
        }
        Some(shape)
    }

    fn blocks(&self) -> Option<Extents> {
        let x = self.shape(0).filter(|x| x.len() == 4)?;
        let b = extent(self.node.int("blocksize", 1)).filter(|&b| b > 0)?;
        let times = |d: Option<usize>, by: usize| d?.checked_mul(by);
        let over = |d: Option<usize>, by: usize| Some(d? / by);
        let squared = b.checked_mul(b)?;
        Some(if self.node.op == "DepthToSpace" {
            vec![x[0], over(x[1], squared), times(x[2], b), times(x[3], b)]
        } else {
            vec![x[0], times(x[1], squared), over(x[2], b), over(x[3], b)]
        })
    }

    fn split(&self) -> Option<Vec<Fact>> {
        let x = self.shape(0)?;
        let axis = axis_of(self.node.int("axis", 0), x.len())?;
        let parts = self.node.outputs.len();
        let sizes: Extents = match self.list("split", 1) {
            Some(sizes) => sizes.iter().map(|&s| extent(s)).collect(),
            None if self.given(1) => vec![None; parts],
            // Equal parts, the last one smaller where it does not come out even.
            None => {
                let part = x[axis].map(|n| n.div_ceil(parts));
                let start = |i: usize| Some(part? * i);
                (0..parts)
                    .map(|i| Some(x[axis]?.saturating_sub(start(i)?).min(part?)))
                    .collect()
            }
        };
        let with = |&size: &Option<usize>| {
            let mut shape = x.clone();
            shape[axis] = size;
            Fact::shaped(shape)
        };
        Some(sizes.iter().map(with).collect())
    }

    fn recurrent(&self) -> Option<Vec<Fact>> {
        let x = self.shape(0).filter(|x| x.len() == 3)?;
        let hidden = match self.node.int("hidden_size", 0) {
            0 => *self.shape(2)?.last()?,
            h => extent(h),
        };
        let directions = if self.node.text("direction") == Some("bidirectional") {
            2
        } else {
            1
        };
        let directions = Some(directions);
        let (sequence, state) = if self.node.int("layout", 0) == 0 {
            (
                vec![x[0], directions, x[1], hidden],
                vec![directions, x[1], hidden],
            )
        } else {
            (
                vec![x[0], x[1], directions, hidden],
                vec![x[0], directions, hidden],
            )
        };
        let state = Fact::shaped(state);
        Some(vec![Fact::shaped(sequence), state.clone(), state])
    }

    fn top_k(&self) -> Option<Vec<Fact>> {
        let mut shape = self.shape(0)?.clone();
        let axis = axis_of(self.node.int("axis", -1), shape.len())?;
        shape[axis] = match self.node.int("k", -1) {
            -1 => self.ints(1).and_then(|k| extent(*k.first()?)),
            k => extent(k),
        };
        Some(vec![Fact::shaped(shape.clone()), Fact::shaped(shape)])
    }

    fn einsum(&self) -> Option<Extents> {
        let equation: String = self.node.text("equation")?.split_whitespace().collect();
        let (terms, result) = equation.split_once("->")?;
        let mut extents = std::collections::HashMap::new();
        for (i, term) in terms.split(',').enumerate() {
            let shape = self.shape(i)?;
            if term.contains('.') || term.chars().count() != shape.len() {
                return None;
            }
            extents.extend(term.chars().zip(shape.iter().copied()));
        }
        result.chars().map(|c| extents.get(&c).copied()).collect()
    }
}

/// The first index and the number of indices that a slice takes of an axis of extent `n`; `None` for a step of zero.
pub(super) fn slice_range(n: usize, start: i64, end: i64, step: i64) -> Option<(usize, usize)> {
    let n = i64::try_from(n).ok()?;
    let from_front = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    let (at, room) = match step {
        0 => return None,
        _ if n == 0 => (0, 0),
        1.. => {
            let at = from_front(start).clamp(0, n);
            (at, from_front(end).clamp(0, n) - at)
        }
        _ => {
            let at = from_front(start).clamp(0, n - 1);
            (at, at - from_front(end).clamp(-1, n - 1))
        }
    };
    let count = room.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    Some((extent(at)?, usize::try_from(count).ok()?))
}

fn matmul(a: &Extents, b: &Extents) -> Option<Extents> {
    match (a.len(), b.len()) {
        (0, _) | (_, 0) => None,
        (1, 1) => Some(vec![]),
        (1, n) => Some([&b[..n - 2], &b[n - 1..]].concat()),
        (n, 1) => Some(a[..n - 1].to_vec()),
        (m, n) => {
            let mut shape = broadcast(&[&a[..m - 2].to_vec(), &b[..n - 2].to_vec()]);
            shape.extend([a[m - 2], b[n - 1]]);
            Some(shape)
        }
    }
}

/// The number of elements, where all extents are known.
pub(super) fn volume(shape: &[Option<usize>]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, d| n.checked_mul((*d)?))
}

/// A number as an extent, where it can be one.
pub(super) fn extent(v: i64) -> Option<usize> {
    usize::try_from(v).ok()
}
