/** The scenarios of the first hundred seeds. In two files, because files are what runs side by side. */
import { testSeeds } from "./support/seeds.ts";

testSeeds(1, 100);
