#pragma once

void test_basics();     // numbers, random numbers, sampling
void test_int4();       // the rounding against its twin, the layout, what either backend keeps
void test_model();      // exact against the double twin, fast against exact, at every site
void test_order();      // tiles, decode, resumed states, batches: the same values
void test_profile();    // the work of each verb by hand, and that a profile changes nothing
void test_edits();      // every edit, its filter, and what it must not touch
void test_cuda();       // needs a GPU: 200 random models with forced routing, two models at once, memory
void test_cuda_fast();  // its fast mode: rounding, decode ahead, sampling, stored weights
void test_device();     // needs a GPU or its stand-in: memory that ends, every allocation in its turn
void test_lost();       // the same, last: a fault ends the device for the process
void test_faults();     // loading and running what is wrong
