/* A library that no program is linked with: t/api-pool.c loads it by dlopen(3). */
double loaded_number(double x);

double loaded_number(double x)
{
    return 3 * x + 1;
}
