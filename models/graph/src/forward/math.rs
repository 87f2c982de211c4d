//! Element by element, of one tensor.

use crate::tape::{Call, Outputs, one};

pub fn sqrt(call: &mut Call<'_>) -> Outputs {
    one(call.tape.sqrt(call.float(0)?))
}

pub fn exp(call: &mut Call<'_>) -> Outputs {
    one(call.tape.exp(call.float(0)?))
}

pub fn log(call: &mut Call<'_>) -> Outputs {
    one(call.tape.log(call.float(0)?))
}

pub fn erf(call: &mut Call<'_>) -> Outputs {
    one(call.tape.erf(call.float(0)?))
}

pub fn neg(call: &mut Call<'_>) -> Outputs {
    one(call.tape.neg(call.float(0)?))
}

pub fn abs(call: &mut Call<'_>) -> Outputs {
    one(call.tape.abs(call.float(0)?))
}

pub fn reciprocal(call: &mut Call<'_>) -> Outputs {
    one(call.tape.reciprocal(call.float(0)?))
}
