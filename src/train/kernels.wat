;; The optimisers' loops over float32 parameters, four numbers at a time; `npm run fix` compiles this file into kernels.ts.
;;
;; Every kernel takes byte addresses into the one imported memory and a count of numbers. Any address that is a multiple of 4 will do
;; (loads and stores promise no more than align=4), and any count: what a last block of four leaves over goes one by one, through the
;; same operations, so that a number's result depends neither on where it lies nor on what lies beside it. No kernel looks at what it
;; was not given; whoever calls has checked that `count` numbers lie at each address.
;;
;; In each kernel $at is the byte that the loop is at, counted from the start of the arrays, and $blocks and $bytes are where the
;; blocks of four and all numbers end. $bytes cannot overflow: a memory holds at most 2^30 numbers, and no kernel is given all of it.
;; All arithmetic is IEEE single precision, rounded after each operation, but for $sum_of_squares; none of it is relaxed SIMD, so the
;; same input gives the same bytes on every machine.
(module
  (import "lethe" "memory" (memory 0))

  ;; AdamW (arXiv:1711.05101) with bias correction. The moments are drawn towards the gradient, m + (1 - b1)(g - m), rather than decayed
  ;; and added to: 1 - b is close to 0 and single precision keeps all its digits, where b, close to 1, has lost some of them; and where
  ;; the gradient is steady the moment ends at it exactly. For the same reason decay comes as lr·decay, which 1 - lr·decay would round
  ;; away once it is below 2^-25, and is taken off together with the step, so that a weight is rounded once.
  ;; Adding 2^-70 to a mean and taking it off again rounds it to a multiple of 2^-93: one that fades out where gradients stay away, as they do
  ;; from the embeddings of words that are not used, would end among the subnormal numbers, with which processors take many times as long,
  ;; and now stops before. Gradients as small as 2^-70 have squares that underflow, so nothing is lost that the second moment still has.
  ;;   g = scale·gradient
  ;;   m = m + to_first·(g - m), then m = (m + 2^-70) - 2^-70
  ;;   v = v + to_second·(g² - v)
  ;;   w = w - (shrink·w + size·m / (root·√v + eps))
  (func (export "adamw")
    (param $weight i32) (param $gradient i32) (param $first i32) (param $second i32) (param $count i32)
    (param $scale f32)      ;; what the gradient is multiplied by
    (param $to_first f32)   ;; 1 - b1
    (param $to_second f32)  ;; 1 - b2
    (param $size f32)       ;; lr / (1 - b1^step)
    (param $root f32)       ;; 1 / √(1 - b2^step)
    (param $eps f32)
    (param $shrink f32)     ;; lr·decay, or 0
    (local $at i32) (local $blocks i32) (local $bytes i32) (local $here i32)
    (local $w f32) (local $g f32) (local $m f32) (local $v f32)
    (local $ws v128) (local $gs v128) (local $ms v128) (local $vs v128)
    (local $scales v128) (local $to_firsts v128) (local $to_seconds v128) (local $sizes v128)
    (local $roots v128) (local $epses v128) (local $shrinks v128) (local $tinies v128)
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $to_firsts (f32x4.splat (local.get $to_first)))
    (local.set $to_seconds (f32x4.splat (local.get $to_second)))
    (local.set $sizes (f32x4.splat (local.get $size)))
    (local.set $roots (f32x4.splat (local.get $root)))
    (local.set $epses (f32x4.splat (local.get $eps)))
    (local.set $shrinks (f32x4.splat (local.get $shrink)))
    (local.set $tinies (f32x4.splat (f32.const 0x1p-70)))
    (local.set $bytes (i32.shl (local.get $count) (i32.const 2)))
    (local.set $blocks (i32.and (local.get $bytes) (i32.const -16)))
    (block $four_by_four
      (loop $next
        (br_if $four_by_four (i32.ge_u (local.get $at) (local.get $blocks)))
        (local.set $gs
          (f32x4.mul
            (local.get $scales)
            (v128.load align=4 (i32.add (local.get $gradient) (local.get $at)))))
        (local.set $here (i32.add (local.get $first) (local.get $at)))
        (local.set $ms (v128.load align=4 (local.get $here)))
        (local.set $ms
          (f32x4.add
            (local.get $ms)
            (f32x4.mul (local.get $to_firsts) (f32x4.sub (local.get $gs) (local.get $ms)))))
        (local.set $ms (f32x4.sub (f32x4.add (local.get $ms) (local.get $tinies)) (local.get $tinies)))
        (v128.store align=4 (local.get $here) (local.get $ms))
        (local.set $here (i32.add (local.get $second) (local.get $at)))
        (local.set $vs (v128.load align=4 (local.get $here)))
        (local.set $vs
          (f32x4.add
            (local.get $vs)
            (f32x4.mul
              (local.get $to_seconds)
              (f32x4.sub (f32x4.mul (local.get $gs) (local.get $gs)) (local.get $vs)))))
        (v128.store align=4 (local.get $here) (local.get $vs))
        (local.set $here (i32.add (local.get $weight) (local.get $at)))
        (local.set $ws (v128.load align=4 (local.get $here)))
        (v128.store align=4
          (local.get $here)
          (f32x4.sub
            (local.get $ws)
            (f32x4.add
              (f32x4.mul (local.get $shrinks) (local.get $ws))
              (f32x4.div
                (f32x4.mul (local.get $sizes) (local.get $ms))
                (f32x4.add (f32x4.mul (local.get $roots) (f32x4.sqrt (local.get $vs))) (local.get $epses))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $one_by_one
      (loop $next
        (br_if $one_by_one (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $g
          (f32.mul
            (local.get $scale)
            (f32.load (i32.add (local.get $gradient) (local.get $at)))))
        (local.set $here (i32.add (local.get $first) (local.get $at)))
        (local.set $m (f32.load (local.get $here)))
        (local.set $m
          (f32.add
            (local.get $m)
            (f32.mul (local.get $to_first) (f32.sub (local.get $g) (local.get $m)))))
        (local.set $m (f32.sub (f32.add (local.get $m) (f32.const 0x1p-70)) (f32.const 0x1p-70)))
        (f32.store (local.get $here) (local.get $m))
        (local.set $here (i32.add (local.get $second) (local.get $at)))
        (local.set $v (f32.load (local.get $here)))
        (local.set $v
          (f32.add
            (local.get $v)
            (f32.mul
              (local.get $to_second)
              (f32.sub (f32.mul (local.get $g) (local.get $g)) (local.get $v)))))
        (f32.store (local.get $here) (local.get $v))
        (local.set $here (i32.add (local.get $weight) (local.get $at)))
        (local.set $w (f32.load (local.get $here)))
        (f32.store
          (local.get $here)
          (f32.sub
            (local.get $w)
            (f32.add
              (f32.mul (local.get $shrink) (local.get $w))
              (f32.div
                (f32.mul (local.get $size) (local.get $m))
                (f32.add (f32.mul (local.get $root) (f32.sqrt (local.get $v))) (local.get $eps))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next))))

  ;; Gradient descent; decay joins the step, as L2 regularisation.
  ;;   w = w - (shrink·w + size·gradient)
  (func (export "sgd")
    (param $weight i32) (param $gradient i32) (param $count i32)
    (param $size f32)    ;; lr·scale
    (param $shrink f32)  ;; lr·decay, or 0
    (local $at i32) (local $blocks i32) (local $bytes i32) (local $here i32)
    (local $w f32) (local $ws v128) (local $sizes v128) (local $shrinks v128)
    (local.set $sizes (f32x4.splat (local.get $size)))
    (local.set $shrinks (f32x4.splat (local.get $shrink)))
    (local.set $bytes (i32.shl (local.get $count) (i32.const 2)))
    (local.set $blocks (i32.and (local.get $bytes) (i32.const -16)))
    (block $four_by_four
      (loop $next
        (br_if $four_by_four (i32.ge_u (local.get $at) (local.get $blocks)))
        (local.set $here (i32.add (local.get $weight) (local.get $at)))
        (local.set $ws (v128.load align=4 (local.get $here)))
        (v128.store align=4
          (local.get $here)
          (f32x4.sub
            (local.get $ws)
            (f32x4.add
              (f32x4.mul (local.get $shrinks) (local.get $ws))
              (f32x4.mul
                (local.get $sizes)
                (v128.load align=4 (i32.add (local.get $gradient) (local.get $at)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $one_by_one
      (loop $next
        (br_if $one_by_one (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $here (i32.add (local.get $weight) (local.get $at)))
        (local.set $w (f32.load (local.get $here)))
        (f32.store
          (local.get $here)
          (f32.sub
            (local.get $w)
            (f32.add
              (f32.mul (local.get $shrink) (local.get $w))
              (f32.mul
                (local.get $size)
                (f32.load (i32.add (local.get $gradient) (local.get $at)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next))))

  ;; Gradient descent with momentum; decay joins the gradient before it enters the velocity.
  ;;   v = keep·v + (decay·w + scale·gradient), then v = (v + 2^-70) - 2^-70, as AdamW's mean
  ;;   w = w - lr·v
  (func (export "momentum")
    (param $weight i32) (param $gradient i32) (param $velocity i32) (param $count i32)
    (param $scale f32)  ;; what the gradient is multiplied by
    (param $keep f32)   ;; what is left of the velocity
    (param $lr f32)
    (param $decay f32)  ;; decay, or 0
    (local $at i32) (local $blocks i32) (local $bytes i32) (local $here i32) (local $there i32)
    (local $w f32) (local $v f32) (local $ws v128) (local $vs v128)
    (local $scales v128) (local $keeps v128) (local $lrs v128) (local $decays v128) (local $tinies v128)
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $keeps (f32x4.splat (local.get $keep)))
    (local.set $lrs (f32x4.splat (local.get $lr)))
    (local.set $decays (f32x4.splat (local.get $decay)))
    (local.set $tinies (f32x4.splat (f32.const 0x1p-70)))
    (local.set $bytes (i32.shl (local.get $count) (i32.const 2)))
    (local.set $blocks (i32.and (local.get $bytes) (i32.const -16)))
    (block $four_by_four
      (loop $next
        (br_if $four_by_four (i32.ge_u (local.get $at) (local.get $blocks)))
        (local.set $here (i32.add (local.get $weight) (local.get $at)))
        (local.set $there (i32.add (local.get $velocity) (local.get $at)))
        (local.set $ws (v128.load align=4 (local.get $here)))
        (local.set $vs
          (f32x4.add
            (f32x4.mul (local.get $keeps) (v128.load align=4 (local.get $there)))
            (f32x4.add
              (f32x4.mul (local.get $decays) (local.get $ws))
              (f32x4.mul
                (local.get $scales)
                (v128.load align=4 (i32.add (local.get $gradient) (local.get $at)))))))
        (local.set $vs (f32x4.sub (f32x4.add (local.get $vs) (local.get $tinies)) (local.get $tinies)))
        (v128.store align=4 (local.get $there) (local.get $vs))
        (v128.store align=4
          (local.get $here)
          (f32x4.sub (local.get $ws) (f32x4.mul (local.get $lrs) (local.get $vs))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $one_by_one
      (loop $next
        (br_if $one_by_one (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $here (i32.add (local.get $weight) (local.get $at)))
        (local.set $there (i32.add (local.get $velocity) (local.get $at)))
        (local.set $w (f32.load (local.get $here)))
        (local.set $v
          (f32.add
            (f32.mul (local.get $keep) (f32.load (local.get $there)))
            (f32.add
              (f32.mul (local.get $decay) (local.get $w))
              (f32.mul
                (local.get $scale)
                (f32.load (i32.add (local.get $gradient) (local.get $at)))))))
        (local.set $v (f32.sub (f32.add (local.get $v) (f32.const 0x1p-70)) (f32.const 0x1p-70)))
        (f32.store (local.get $there) (local.get $v))
        (f32.store
          (local.get $here)
          (f32.sub (local.get $w) (f32.mul (local.get $lr) (local.get $v))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next))))

  ;; sum = sum + scale·more
  (func (export "accumulate")
    (param $sum i32) (param $more i32) (param $count i32) (param $scale f32)
    (local $at i32) (local $blocks i32) (local $bytes i32) (local $here i32) (local $scales v128)
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $bytes (i32.shl (local.get $count) (i32.const 2)))
    (local.set $blocks (i32.and (local.get $bytes) (i32.const -16)))
    (block $four_by_four
      (loop $next
        (br_if $four_by_four (i32.ge_u (local.get $at) (local.get $blocks)))
        (local.set $here (i32.add (local.get $sum) (local.get $at)))
        (v128.store align=4
          (local.get $here)
          (f32x4.add
            (v128.load align=4 (local.get $here))
            (f32x4.mul (local.get $scales) (v128.load align=4 (i32.add (local.get $more) (local.get $at))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $one_by_one
      (loop $next
        (br_if $one_by_one (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $here (i32.add (local.get $sum) (local.get $at)))
        (f32.store
          (local.get $here)
          (f32.add
            (f32.load (local.get $here))
            (f32.mul (local.get $scale) (f32.load (i32.add (local.get $more) (local.get $at))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next))))

  ;; array = scale·array
  (func (export "scale")
    (param $array i32) (param $count i32) (param $scale f32)
    (local $at i32) (local $blocks i32) (local $bytes i32) (local $here i32) (local $scales v128)
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $bytes (i32.shl (local.get $count) (i32.const 2)))
    (local.set $blocks (i32.and (local.get $bytes) (i32.const -16)))
    (block $four_by_four
      (loop $next
        (br_if $four_by_four (i32.ge_u (local.get $at) (local.get $blocks)))
        (local.set $here (i32.add (local.get $array) (local.get $at)))
        (v128.store align=4 (local.get $here) (f32x4.mul (local.get $scales) (v128.load align=4 (local.get $here))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $one_by_one
      (loop $next
        (br_if $one_by_one (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $here (i32.add (local.get $array) (local.get $at)))
        (f32.store (local.get $here) (f32.mul (local.get $scale) (f32.load (local.get $here))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next))))

  ;; The sum of squares in double precision, in which the square of a float32 is exact and no sum of them overflows: the result is finite
  ;; if and only if every number is. Number k of the blocks goes to sum k mod 4; what is left over goes to a fifth.
  (func (export "sumOfSquares")
    (param $array i32) (param $count i32) (result f64)
    (local $at i32) (local $blocks i32) (local $bytes i32) (local $here i32)
    (local $low v128) (local $high v128) (local $ahead v128) (local $behind v128)  ;; sums 0 and 1, sums 2 and 3; numbers 0 and 1, 2 and 3
    (local $x f64) (local $rest f64)
    (local.set $bytes (i32.shl (local.get $count) (i32.const 2)))
    (local.set $blocks (i32.and (local.get $bytes) (i32.const -16)))
    (block $four_by_four
      (loop $next
        (br_if $four_by_four (i32.ge_u (local.get $at) (local.get $blocks)))
        (local.set $here (i32.add (local.get $array) (local.get $at)))
        (local.set $ahead (f64x2.promote_low_f32x4 (v128.load64_zero align=4 (local.get $here))))
        (local.set $behind (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 align=4 (local.get $here))))
        (local.set $low (f64x2.add (local.get $low) (f64x2.mul (local.get $ahead) (local.get $ahead))))
        (local.set $high (f64x2.add (local.get $high) (f64x2.mul (local.get $behind) (local.get $behind))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (block $one_by_one
      (loop $next
        (br_if $one_by_one (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $x (f64.promote_f32 (f32.load (i32.add (local.get $array) (local.get $at)))))
        (local.set $rest (f64.add (local.get $rest) (f64.mul (local.get $x) (local.get $x))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (f64.add
      (f64.add
        (f64.add (f64x2.extract_lane 0 (local.get $low)) (f64x2.extract_lane 1 (local.get $low)))
        (f64.add (f64x2.extract_lane 0 (local.get $high)) (f64x2.extract_lane 1 (local.get $high))))
      (local.get $rest)))
)
